// A graph of tasks, worked through on some workers: scenes/tasks.py.
"use strict";
{
  const { axis, box, line, names, three } = exploreKit;
  const SECONDS = { read: 2, summarise: 1, merge: 1, hits: 1, total: 1 };
  const LETTERS = {
    read: "r", describe: "d", summarise: "s", merge: "m", fit: "f", hits: "h", total: "t",
  };

  /** The chapter's graph: for each task, in order, what it needs. */
  function photosGraph(kinds) {
    const graph = new Map();
    let level = [];
    for (let kind = 0; kind < kinds; kind += 1) {
      graph.set(`read ${kind}`, []);
      graph.set(`describe ${kind}`, [`read ${kind}`]);
      graph.set(`summarise ${kind}`, [`describe ${kind}`]);
      level.push(`summarise ${kind}`);
    }
    for (let height = 1; level.length > 1; height += 1) {
      const next = [];
      for (let place = 0; 2 * place + 1 < level.length; place += 1) {
        next.push(`merge ${height},${place}`);
        graph.set(next.at(-1), [level[2 * place], level[2 * place + 1]]);
      }
      if (level.length % 2) next.push(level.at(-1));
      level = next;
    }
    graph.set("fit", level);
    for (let kind = 0; kind < kinds; kind += 1)
      graph.set(`hits ${kind}`, [`describe ${kind}`, "fit"]);
    graph.set("total", Array.from({ length: kinds }, (_, kind) => `hits ${kind}`));
    return graph;
  }

  const nameOf = (key) => key.split(" ")[0];

  /** Each task after its inputs, depth first. */
  function inOrder(graph, wanted) {
    const order = [];
    const visit = (key) => {
      if (order.includes(key)) return;
      graph.get(key).forEach(visit);
      order.push(key);
    };
    visit(wanted);
    return order;
  }

  /** A free worker takes the first of the tasks that are ready. */
  function schedule(graph, order, seconds, workers) {
    const done = new Set(), begun = new Set();
    const free = Array.from({ length: workers }, (_, n) => n);
    let running = [], now = 0;
    const found = [];
    const isReady = (key) => !begun.has(key) && graph.get(key).every((one) => done.has(one));
    while (found.length < order.length || running.length) {
      let key;
      while (free.length && (key = order.find(isReady))) {
        const worker = free.shift();
        const placed = { key, worker, start: now, stop: now + seconds(key) };
        begun.add(key);
        running.push(placed);
        found.push(placed);
      }
      now = Math.min(...running.map((one) => one.stop));
      for (const one of running.filter(({ stop }) => stop === now)) {
        done.add(one.key);
        free.push(one.worker);
      }
      free.sort((a, b) => a - b);
      running = running.filter(({ stop }) => stop !== now);
    }
    return found;
  }

  exploreKit.define("tasks", ({ kinds, workers, describe, fit, step: wanted }) => {
    const graph = photosGraph(kinds);
    const costs = { ...SECONDS, describe, fit };
    const seconds = (key) => costs[nameOf(key)];
    const order = inOrder(graph, "total");
    const plan = schedule(graph, order, seconds, workers);
    const last = plan.length, step = Math.min(wanted, last);
    const end = Math.max(...plan.map((one) => one.stop));
    const begun = plan.slice(0, step);
    const now = step === last ? end : begun.length ? begun.at(-1).start : 0;
    const done = new Set(begun.filter((one) => one.stop <= now).map((one) => one.key));
    const underWay = new Set(begun.map((one) => one.key).filter((key) => !done.has(key)));
    const ready = [...graph.keys()].filter((key) =>
      !done.has(key) && !underWay.has(key) && graph.get(key).every((one) => done.has(one)));

    const level = new Map(), until = new Map();
    for (const key of order) {
      const needs = graph.get(key);
      level.set(key, 1 + Math.max(-1, ...needs.map((one) => level.get(one))));
      until.set(key, seconds(key) + Math.max(0, ...needs.map((one) => until.get(one))));
    }
    const places = new Map();
    let row = 0;
    for (const [key, needs] of graph) {
      const before = needs.map((one) => places.get(one)[1]);
      let y;
      if (!before.length) y = row++;
      else if (nameOf(key) === "hits") y = before[0];
      else y = before.reduce((a, b) => a + b) / before.length;
      places.set(key, [level.get(key), y]);
    }
    const wide = end / (Math.max(...level.values()) + 1);
    const marks = [];
    for (const [key, needs] of graph) {
      const [x, y] = places.get(key);
      for (const other of needs) {
        const [left, from] = places.get(other);
        marks.push(line("e", [[(left + 0.85) * wide, from + 0.5], [(x + 0.15) * wide, y + 0.5]]));
      }
    }
    for (const key of graph.keys()) {
      const [x, y] = places.get(key);
      const look = done.has(key) ? "c" : underWay.has(key) ? "b" : ready.includes(key) ? "a" : "e";
      marks.push(box(look, [(x + 0.15) * wide, (x + 0.85) * wide], [y + 0.15, y + 0.85],
        LETTERS[nameOf(key)]));
    }
    const top = kinds + 0.4;
    for (const { key, worker, start, stop } of begun)
      marks.push(box(done.has(key) ? "c" : "b", [start, stop],
        [top + worker + 0.1, top + worker + 0.9], LETTERS[nameOf(key)]));
    const work = [...graph.keys()].reduce((sum, key) => sum + seconds(key), 0);
    const span = until.get("total");
    const least = Math.max(work / workers, span), most = (work - span) / workers + span;
    const down = names("", Array.from({ length: workers }, (_, n) => `worker ${n}`));
    return {
      alt: "Above, the graph of tasks from left to right: r read, d describe, s summarise," +
        " m merge, f fit, h hits, t total. Below, a lane for each worker with the tasks" +
        " that it has begun.",
      said: `${step} of ${last} tasks have begun; after ${three(now)} seconds` +
        ` ${done.size} are done, ${underWay.size} run and ${ready.length} more are ready.` +
        ` Workers: ${workers}; all takes ${three(end)} seconds. The work is ${three(work)},` +
        ` the longest chain ${three(span)}: between ${three(least)} and ${three(most)}` +
        " seconds for whoever is never idle without need.",
      head: ["task", "worker", "begins", "ends"],
      rows: plan.map((one) => [
        nameOf(one.key), String(one.worker), three(one.start), three(one.stop),
      ]),
      height: 440,
      x: { ...axis("seconds", end), bare: true },
      y: {
        ...down, to: down.to + top, down: true, bare: true,
        ticks: down.ticks.map(([at, text]) => [at + top, text]),
      },
      marks,
      limits: { step: last },
    };
  });
}
