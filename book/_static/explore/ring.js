// The ring all-reduce, one step after the other: scenes/ring.py.
"use strict";
{
  const { arrow, box, names, si, three } = exploreKit;
  const MEGA = 1e6, MICRO = 1e-6, GIGA = 1e9;
  const modulo = (n, p) => ((n % p) + p) % p;

  /** What each rank sends in a step (0, 1 …): a piece, to the next rank. */
  function messages(p, step) {
    return Array.from({ length: p }, (_, rank) => ({
      source: rank,
      to: (rank + 1) % p,
      // First the sums are made, once around; then handed on, once around.
      piece: modulo(step < p - 1 ? rank - step - 1 : rank - (step - (p - 1)), p),
    }));
  }

  /** Whose numbers are in each piece of each rank, as bits, after so many steps. */
  function stateAfter(p, steps) {
    const state = Array.from({ length: p }, (_, r) => Array(p).fill(1 << r));
    for (let step = 0; step < steps; step += 1) {
      const carried = messages(p, step).map((m) => [m, state[m.source][m.piece]]);
      for (const [{ to, piece }, value] of carried) state[to][piece] |= value;
    }
    return state;
  }

  const ringTime = (p, count, alpha, beta) => (p - 1) * 2 * (alpha + (beta * count) / p);
  const treeTime = (p, count, alpha, beta) =>
    Math.ceil(Math.log2(p)) * 2 * (alpha + beta * count);
  const starTime = (p, count, alpha, beta) => 2 * (p - 1) * (alpha + beta * count);

  const whose = (value, p) =>
    Array.from({ length: p }, (_, r) => (value >> r) & 1 ? String(r) : "").join("");

  exploreKit.define("ring", ({ ranks, step: wanted, size, latency, bandwidth }) => {
    const last = 2 * (ranks - 1), step = Math.min(wanted, last);
    const state = stateAfter(ranks, step);
    const sent = step < last ? messages(ranks, step) : [];
    const marks = [];
    state.forEach((values, rank) => values.forEach((value, place) => {
      const digits = whose(value, ranks);
      const look = digits.length === ranks ? "c" : digits.length === 1 ? "a" : "b";
      marks.push(box(look, [place + 0.06, place + 0.94], [rank + 0.12, rank + 0.78], digits));
    }));
    for (const { source, to, piece } of sent) {
      const place = piece + 0.5, down = to === source + 1;
      marks.push(arrow([place, source + 0.78, place, down ? to + 0.12 : ranks - 0.02]));
      if (!down) marks.push(arrow([place, to - 0.12, place, to + 0.12]));
    }
    const count = size * MEGA;
    const times = [ringTime, treeTime, starTime].map((time) =>
      time(ranks, count, latency * MICRO, 1 / (bandwidth * GIGA)));
    const done = state.flat().filter((value) => whose(value, ranks).length === ranks).length;
    const adds = step < ranks - 1 ? "adds it to its own" : "puts it in place of its own";
    const now = step === last
      ? `After ${last} steps every rank has every total.`
      : `Step ${step + 1} of ${last}: each rank sends one piece to the next` +
        ` rank, the last one to the first; who receives it ${adds}.`;
    return {
      alt: `${ranks} rows, one a rank, of ${ranks} pieces. The digits in a piece say` +
        " whose numbers are in it. Arrows lead from a piece that is sent to the row below.",
      said: `${now} ${done} of ${ranks * ranks} pieces are totals; each rank has` +
        ` sent ${three(step / ranks)} of its vector. All ${last} steps with` +
        ` ${si(count, "B")}: ${si(times[0], "s")} in the ring,` +
        ` ${si(times[1], "s")} in a tree, ${si(times[2], "s")} in a star.`,
      head: ["rank", ...state.map((_, p) => `piece ${p}`), "sends next"],
      rows: state.map((values, rank) => [
        `rank ${rank}`, ...values.map((value) => whose(value, ranks)),
        sent.length ? `piece ${sent[rank].piece} to rank ${sent[rank].to}` : "nothing",
      ]),
      height: 360,
      x: { ...names("pieces of the vector", state.map((_, p) => String(p))), bare: true },
      y: { ...names("", state.map((_, r) => `rank ${r}`)), down: true, bare: true },
      marks,
      limits: { step: last },
    };
  });
}
