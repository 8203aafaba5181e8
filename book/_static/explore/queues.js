// Requests that wait, one by one and in batches: scenes/queues.py.
"use strict";
{
  const { dots, line, logAxis, percent, rule, si, three } = exploreKit;
  const MILLI = 1e-3, APART = 0.25, MOST_ROUNDS = 1000, GOLDEN = (Math.sqrt(5) - 1) / 2;
  const ROWS = [0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95];
  const range = (count, each) => Array.from({ length: count }, (_, n) => each(n));
  const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);

  const secondsOf = ({ fixed, each }, items) => fixed + each * items;
  const capacityOf = (cost, most, servers) => (servers * most) / secondsOf(cost, most);

  /** Of fewer arrivals than can be served. */
  function erlangC(rate, service, servers) {
    const offered = rate * service;
    let blocked = 1;
    for (let n = 1; n <= servers; n += 1)
      blocked = (offered * blocked) / (n + offered * blocked);
    const busy = offered / servers;
    return blocked / (1 - busy + busy * blocked);
  }

  const mgcWait = (rate, service, cv2, servers) =>
    rate * service >= servers ? Infinity
      : ((erlangC(rate, service, servers) / (servers / service - rate)) * (1 + cv2)) / 2;

  /** Polynomial of the zeros of z^most less the arrivals' function. */
  function polynomial(mean, cv2, most) {
    const apart = [...Array(most).keys()].sort((a, b) => ((a * GOLDEN) % 1) - ((b * GOLDEN) % 1));
    let re = [1], im = [0]; // the highest power first
    for (const n of apart) {
      const turn = (2 * Math.PI * n) / most;
      let x = n ? 0 : 1, y = 0;
      for (let round = 0; n && round < MOST_ROUNDS; round += 1) {
        let size = Math.exp((mean * (x - 1)) / most), angle = (mean * y) / most;
        if (cv2) {
          const a = 1 + cv2 * mean * (1 - x), b = -cv2 * mean * y;
          size = Math.hypot(a, b) ** (-1 / (cv2 * most));
          angle = -Math.atan2(b, a) / (cv2 * most);
        }
        const next = [size * Math.cos(turn + angle), size * Math.sin(turn + angle)];
        const step = Math.hypot(next[0] - x, next[1] - y);
        [x, y] = next;
        if (step < 1e-14) break;
      }
      const times = (a, b) => [0, ...re.map((value, i) => a * value + b * im[i])];
      const [u, v] = [times(x, -y), times(y, x)];
      re = [...re, 0].map((value, i) => value - u[i]);
      im = [...im, 0].map((value, i) => value - v[i]);
    }
    return re;
  }

  /** Where the chain is next below `most`, from each state there. */
  function movesOf(means, mean, cv2, most) {
    const back = polynomial(mean, cv2, most).slice(1).reverse().map((value) => -value);
    const reach = mean + 12 * Math.sqrt(mean) + 30 * cv2 * mean + 40;
    const moves = means.map(() => range(most, () => 0));
    const chance = means.map((m) => (cv2 ? (1 + cv2 * m) ** (-1 / cv2) : Math.exp(-m)));
    let below = range(most, (i) => (i ? 0 : 1));
    for (let n = 0; n < most + Math.trunc(reach); n += 1) {
      const last = below[most - 1];
      if (n) below = below.map((_, i) => (i ? below[i - 1] : 0) + last * back[i]);
      for (let k = 0; k < most; k += 1) {
        if (n) chance[k] *= (means[k] * (1 + cv2 * (n - 1))) / (n * (1 + cv2 * means[k]));
        if (chance[k] < 1e-20) continue;
        for (let i = 0; i < most; i += 1) moves[k][i] += chance[k] * below[i];
      }
    }
    return moves;
  }

  /** Solve rows with their right sides; columns have large diagonals. */
  function solve(rows) {
    const size = rows.length;
    for (let at = 0; at < size; at += 1)
      for (let i = at + 1; i < size; i += 1) {
        const factor = rows[i][at] / rows[at][at];
        for (let j = at; j <= size; j += 1) rows[i][j] -= factor * rows[at][j];
      }
    const found = range(size, () => 0);
    for (let i = size - 1; i >= 0; i -= 1)
      found[i] = (rows[i][size] - dot(found, rows[i])) / rows[i][i];
    return found;
  }

  function batchQueue(rate, cost, cv2, most) {
    const full = secondsOf(cost, most), spare = most - rate * full;
    if (spare <= 0) return { stay: Infinity, items: most };
    const left = [...Array(most).keys()], taken = left.map((k) => Math.max(k, 1));
    const seconds = taken.map((n) => secondsOf(cost, n));
    const square = seconds.map((t) => (1 + cv2) * t ** 2), fullSquare = (1 + cv2) * full ** 2;
    const moves = movesOf(seconds.map((s) => rate * s), rate * full, cv2, most);
    const rows = left.map((i) => [...left.map((k) => moves[k][i] - (i === k ? 1 : 0)), 0]);
    rows[most - 1] = [...left.map((k) => most - k + rate * (seconds[k] - full)), spare];
    const share = solve(rows), beyond = 1 - share.reduce((a, b) => a + b);
    const slope = dot(share, left.map((k) =>
      rate ** 2 * (square[k] - fullSquare) + 2 * rate * (most * seconds[k] - k * full) +
      most * (most - 1) - k * (k - 1))) + rate ** 2 * fullSquare - most * (most - 1);
    const leftBeyond = slope / (2 * spare) - dot(share, left);
    const cycle = share[0] / rate + dot(share, seconds) + beyond * full;
    const inside = dot(share, left.map((k) => taken[k] * seconds[k] + (rate * square[k]) / 2)) +
      leftBeyond * full + (beyond * rate * fullSquare) / 2;
    return { stay: inside / cycle / rate, items: rate * cycle };
  }

  const climb = (low, full) => [
    ...range(8, (n) => low * (full / 2 / low) ** (n / 8)),
    ...range(12, (n) => full * (1 - 0.5 * 0.02 ** (n / 11))),
  ];
  const told = (seconds) => (seconds === Infinity ? "endless" : si(seconds, "s"));

  exploreKit.define("queues", ({ rate, fixed, each, cv, workers, most, measured }) => {
    const cost = { fixed: fixed * MILLI, each: each * MILLI }, cv2 = cv * cv;
    const alone = secondsOf(cost, 1);
    const [full, batchesFull] = [1, most].map((n) => capacityOf(cost, n, workers));
    const shared = (r) => alone + mgcWait(r, alone, cv2, workers);
    const apart = (r) => alone + mgcWait(r / workers, alone, cv2, 1);
    const batched = (r) => batchQueue(r / workers, cost, cv2, most);
    const x = logAxis("requests a second", Math.min(full / 10, rate),
      Math.max(batchesFull, rate), 10, (value) => si(value, "").trim());
    const ways = {
      a: [shared, full], b: [apart, full], c: [(r) => batched(r).stay, batchesFull],
    };
    const marks = [], shown = [];
    for (const [look, [stay, end]] of Object.entries(ways)) {
      const points = climb(x.from, end).map((r) => [r, stay(r)]);
      const here = [[rate, stay(rate)]].filter(([, y]) => y < Infinity);
      marks.push(line(look, points), dots(look, here));
      shown.push(...[...points, ...here].map(([, y]) => y));
    }
    if (measured) {
      marks.push(dots("d", [[rate, measured * MILLI]]));
      shown.push(measured * MILLI);
    }
    if (most > 1) {
      const gap = Math.log(batchesFull / full) / Math.log(x.to / x.from);
      marks.push(rule("e", full, gap > APART ? "full" : ""));
    }
    marks.push(rule("e", batchesFull, "full"));
    const now = batched(rate);
    let said = `At most ${three(full)} requests/s can be answered one by one, and` +
      ` ${three(batchesFull)} in batches of ${most}. At ${three(rate)} one by one the` +
      ` mean time is ${told(shared(rate))} with one queue for all workers and` +
      ` ${told(apart(rate))} with a queue for each. In batches it is ${told(now.stay)},` +
      ` and a batch holds ${three(now.items)}.`;
    if (measured) {
      said += ` You measured ${si(measured * MILLI, "s")}`;
      said += now.stay === Infinity ? "."
        : `, ${three((measured * MILLI) / now.stay)} times the last of these.`;
    }
    return {
      alt: "Mean time against requests a second, both axes logarithmic: each curve is" +
        " flat at first and turns up where its workers are full; that of batches does" +
        " so last.",
      said,
      head: ["requests/s", "ρ one by one", "one queue", "a queue each", "in batches",
        "a batch holds"],
      rows: ROWS.map((part) => {
        const r = part * batchesFull, there = batched(r);
        return [three(r), percent((r * alone) / workers), told(shared(r)), told(apart(r)),
          told(there.stay), three(there.items)];
      }),
      height: 340,
      x,
      y: logAxis("mean time", Math.min(...shown), Math.max(...shown), 10,
        (value) => si(value, "s")),
      marks,
    };
  });
}
