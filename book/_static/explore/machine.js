// The reader's machine beside the recorded ones: scenes/machine.py.
"use strict";
{
  const {
    Unsuitable, axis, dots, isTable, line, logAxis, readRecord, si, three,
  } = exploreKit;
  const LOOKS = "abcd", LIMIT = "e";

  // What toolbox/curves.py calls drawable.
  const hasKeys = (table, ...names) =>
    isTable(table) && Object.keys(table).sort().join() === names.sort().join();
  const isShort = (text) => typeof text === "string" && [...text].length <= 60;
  const isList = (list, most) => Array.isArray(list) && list.length > 0 && list.length <= most;
  const axisFits = (one) =>
    hasKeys(one, "label", "unit", "log") && isShort(one.label) && isShort(one.unit) &&
    typeof one.log === "boolean";
  const fits = (value, { log }) =>
    typeof value === "number" && value >= 0 && value < Infinity && (value > 0 || !log);
  const lineFits = (one, { x, y }) =>
    hasKeys(one, "name", "of", "limit", "at") && isShort(one.name) && isShort(one.of) &&
    typeof one.limit === "boolean" && isList(one.at, 200) &&
    one.at.every((point) =>
      Array.isArray(point) && point.length === 2 && fits(point[0], x) && fits(point[1], y));
  const drawable = (raw) =>
    hasKeys(raw, "x", "y", "lines") && axisFits(raw.x) && axisFits(raw.y) &&
    isList(raw.lines, 24) && raw.lines.every((one) => lineFits(one, raw));

  function machineOf({ hardware: { cpu, cpus }, curves }) {
    if (typeof cpu !== "string" || !Number.isInteger(cpus) || !drawable(curves))
      throw new Unsuitable("This record has no lines that can be drawn. Measure again, by" +
        " this version of the book.");
    return { label: `${cpu}, ${cpus} CPU${cpus === 1 ? "" : "s"}`.slice(0, 60), ...curves };
  }

  const wordsOf = ({ unit }) => (unit ? (value) => si(value, unit) : three);

  function reach({ label, y, lines }) {
    const words = wordsOf(y), spans = new Map();
    for (const { name, limit, at } of lines)
      if (!limit) spans.set(name, [...(spans.get(name) ?? []), ...at.map((point) => point[1])]);
    const parts = [...spans].map(([name, found]) =>
      `${name}, ${words(Math.min(...found))} to ${words(Math.max(...found))}`);
    return `${label}: ${parts.join("; ")}.`;
  }

  const axisOf = (one, values, room) =>
    one.log
      ? logAxis(one.label, Math.min(...values), Math.max(...values), 10, wordsOf(one))
      : axis(one.label, room * Math.max(1e-9, ...values), wordsOf(one));

  const sameAxis = (a, b) => a.label === b.label && a.unit === b.unit && a.log === b.log;

  exploreKit.define("machine", ({ record }, { topic, machines: ours }) => {
    const yours = record ? machineOf(readRecord(record, topic)) : null;
    const [first] = ours;
    if (yours && !(sameAxis(yours.x, first.x) && sameAxis(yours.y, first.y)))
      throw new Unsuitable("This record measures something else along its axes.");
    const machines = yours ? [...ours, yours] : ours;
    const lines = machines.flatMap((machine) => machine.lines.map((one) => ({ machine, one })));
    const names = [...new Set(lines.filter(({ one }) => !one.limit).map(({ one }) => one.name))];
    const across = wordsOf(first.x), up = wordsOf(first.y);
    const marks = [], rows = [];
    for (const { machine, one } of lines) {
      const look = one.limit ? LIMIT : LOOKS[names.indexOf(one.name) % LOOKS.length];
      marks.push(line(look, one.at));
      if (machine === yours) marks.push(dots(look, one.at));
      rows.push([
        machine === yours ? "yours" : machine.label,
        one.of ? `${one.name} (${one.of})` : one.name,
        one.at.map(([x, y]) => `${across(x)}: ${up(y)}`).join("; "),
      ]);
    }
    const said = ours.map((one) => `Recorded: ${reach(one)}`).join(" ") +
      (yours ? ` Yours: ${reach(yours)}` : " Your machine's record has not been chosen.");
    const points = lines.flatMap(({ one }) => one.at);
    return {
      alt: `${first.y.label} against ${first.x.label}, a line for each way: recorded` +
        " machines, and yours with markers.",
      said,
      head: ["machine", "line", `${first.y.label} by ${first.x.label}`],
      rows,
      height: 320,
      x: axisOf(first.x, points.map((point) => point[0]), 1),
      y: axisOf(first.y, points.map((point) => point[1]), 1.1),
      marks,
    };
  });
}
