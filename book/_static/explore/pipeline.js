// Who computes what when in a pipeline: scenes/pipeline.py.
"use strict";
{
  const { Unsuitable, axis, box, names, percent, three } = exploreKit;
  const range = (count, each) => Array.from({ length: count }, (_, n) => each(n));
  const task = (kind, stage, micro) => ({ kind, stage, micro });

  /** So many forward passes ahead, then one of each in turn. */
  function turns(forward, backward, most) {
    const ahead = Math.min(most, forward.length);
    const rest = forward.length - ahead;
    return [
      ...forward.slice(0, ahead),
      ...range(rest, (n) => [forward[ahead + n], backward[n]]).flat(),
      ...backward.slice(rest),
    ];
  }

  const passes = (kind, stage, micros) => range(micros, (m) => task(kind, stage, m));
  const ORDERS = {
    GPipe: (p, m) =>
      range(p, (s) => [...passes("F", s, m), ...passes("B", s, m)]),
    "1F1B": (p, m) =>
      range(p, (s) => turns(passes("F", s, m), passes("B", s, m), p - s - 1)),
    "1F1B, interleaved"(p, m, v) {
      const steps = range(m / p, (group) =>
        range(v, (chunk) => range(p, (n) => [chunk, group * p + n])).flat()).flat();
      return range(p, (d) => turns(
        steps.map(([c, n]) => task("F", c * p + d, n)),
        steps.map(([c, n]) => task("B", (v - 1 - c) * p + d, n)),
        2 * (p - d - 1) + (v - 1) * p,
      ));
    },
  };

  function needsOf({ kind, stage, micro }, stages) {
    if (kind === "F") return stage ? [task("F", stage - 1, micro)] : [];
    const own = [task("F", stage, micro)];
    return stage === stages - 1 ? own : [...own, task("B", stage + 1, micro)];
  }

  /** Each device does its tasks in order, each when its input is there. */
  function simulate(orders, stages, seconds, link) {
    const key = ({ kind, stage, micro }) => `${kind}${stage},${micro}`;
    const ready = new Map();
    const free = orders.map(() => 0), place = orders.map(() => 0);
    const spans = [];
    let moved = true;
    while (moved) {
      moved = false;
      orders.forEach((order, device) => {
        while (place[device] < order.length) {
          const now = order[place[device]];
          const needs = needsOf(now, stages);
          if (needs.some((one) => !ready.has(key(one)))) break;
          const come = needs.map((one) =>
            ready.get(key(one)) + (one.stage !== now.stage ? link : 0));
          const start = Math.max(free[device], ...come);
          const stop = start + seconds[now.kind];
          spans.push({ device, task: now, start, stop });
          ready.set(key(now), stop);
          free[device] = stop;
          place[device] += 1;
          moved = true;
        }
      });
    }
    return spans.sort((a, b) => a.start - b.start || a.device - b.device);
  }

  const busyOf = (spans) => spans.reduce((sum, s) => sum + (s.stop - s.start), 0);
  const bubbleFormula = (p, m, v) => (p - 1) / (v * m + p - 1);

  function held(order) {
    let now = 0, most = 0;
    for (const { kind } of order) {
      now += kind === "F" ? 1 : -1;
      most = Math.max(most, now);
    }
    return most;
  }

  exploreKit.define("pipeline", ({ schedule, devices, micros, backward, link }) => {
    const apart = schedule === "1F1B, interleaved";
    if (apart && micros % devices)
      throw new Unsuitable(
        `Interleaved, micro-batches go in groups of ${devices}, as many as there` +
        ` are devices: ${micros} is no multiple of that.`,
      );
    const chunks = apart ? 2 : 1;
    const orders = ORDERS[schedule](devices, micros, chunks);
    const spans = simulate(orders, devices * chunks,
      { F: 1 / chunks, B: backward / chunks }, link);
    const end = Math.max(...spans.map((span) => span.stop));
    const first = Math.min(...spans.map((span) => span.start));
    const idle = 1 - busyOf(spans) / ((end - first) * devices);
    const kept = orders.map((order) => held(order) / chunks);
    const looks = { F: ["a", "e"], B: ["b", "d"] };
    return {
      alt: `A timeline of ${devices} lanes, one a device. Boxes with the number of a` +
        " micro-batch are its forward and backward passes; gaps are idle time.",
      said: `${schedule}, ${devices} devices, ${micros} micro-batches:` +
        ` ${three(end)} forward passes long, ${percent(idle)} of it idle` +
        ` (${percent(bubbleFormula(devices, micros, chunks))} by the formula, for` +
        " links that take no time). The first device holds the activations of at" +
        ` most ${three(kept[0])} micro-batches, the last of ${three(kept.at(-1))}.`,
      head: ["device", "starts", "ends", "idle", "micro-batches held"],
      rows: range(devices, (device) => {
        const own = spans.filter((span) => span.device === device);
        return [
          `device ${device}`, three(own[0].start), three(own.at(-1).stop),
          percent(1 - busyOf(own) / end), three(kept[device]),
        ];
      }),
      height: 340,
      x: axis("time, in forward passes", end),
      y: { ...names("device", range(devices, String)), down: true, bare: true },
      marks: spans.map(({ device, task: { kind, stage, micro }, start, stop }) =>
        box(looks[kind][Math.floor(stage / devices)], [start, stop],
          [device + 0.1, device + 0.9], String(micro))),
    };
  });
}
