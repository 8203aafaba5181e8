// When processes pay: scenes/costs.py.
"use strict";
{
  const { isTable, line, logAxis, positive, rule, short, si, three } = exploreKit;
  const MILLI = 1e-3, MICRO = 1e-6, GIGA = 1e9;

  const secondsOf = ({ start, task, rate }, items, item, size, workers) => {
    const chunk = Math.max(1, Math.ceil(items / workers));
    const tasks = Math.ceil(items / chunk);
    const longest = Math.min(items, Math.ceil(tasks / workers) * chunk);
    return start + tasks * task + (items * size) / rate + longest * item;
  };

  const crossingOf = ({ start, task, rate }, item, size, workers) => {
    const gain = item * (1 - 1 / workers) - size / rate;
    return gain > 0 ? (start + workers * task) / gain : Infinity;
  };

  exploreKit.define("costs", ({ start, task, rate, item, size, workers }) => {
    const costs = { start: start * MILLI, task: task * MICRO, rate: rate * GIGA };
    const seconds = item * MICRO;
    const counts = Array.from({ length: 33 }, (_, n) => Math.round(10 ** (n / 4)));
    const alone = counts.map((n) => n * seconds);
    const shared = counts.map((n) => secondsOf(costs, n, seconds, size, workers));
    const crossing = crossingOf(costs, seconds, size, workers);
    const marks = [
      line("a", counts.map((n, i) => [n, alone[i]])),
      line("b", counts.map((n, i) => [n, shared[i]])),
    ];
    if (crossing >= 1 && crossing <= counts.at(-1))
      marks.push(rule("e", crossing, `from ${si(crossing, "").trim()} items`));
    const most = seconds / (seconds / workers + size / costs.rate);
    const verdict = crossing === Infinity
      ? `${workers} workers never win: to send an item takes` +
        ` ${si(size / costs.rate, "s")}, and the others save only` +
        ` ${si(seconds * (1 - 1 / workers), "s")} on it.`
      : `${workers} workers win from ${three(crossing)} items on, and with` +
        ` very many items they are ${three(most)} times as fast.`;
    return {
      alt: "Time against items, both axes logarithmic: a straight line for one" +
        " process, and one for several that begins with what starting them costs.",
      said: `Starting them takes ${si(costs.start, "s")}. ${verdict}`,
      head: ["items", "one process", `${workers} workers`, "speed-up"],
      rows: counts.flatMap((n, i) => i % 4 ? [] : [[
        three(n), si(alone[i], "s"), si(shared[i], "s"), three(alone[i] / shared[i]),
      ]]),
      height: 320,
      x: logAxis("items", 1, counts.at(-1), 10, (n) => si(n, "").trim()),
      y: logAxis("time", Math.min(alone[0], shared[0]),
        Math.max(alone.at(-1), shared.at(-1)), 10, (value) => si(value, "s")),
      marks,
    };
  }, ({ costs }) => {
    const { start, task, rate } = isTable(costs) ? costs : {};
    return [start, task, rate].every(positive) && {
      start: short(start / MILLI), task: short(task / MICRO), rate: short(rate / GIGA),
    };
  });
}
