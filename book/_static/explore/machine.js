// The reader's machine beside the recorded ones: scenes/machine.py.
"use strict";
{
  const {
    axis, dots, isTable, line, median, misfit, positive, readRecord, three,
  } = exploreKit;
  const TOPIC = "threads";
  const WORDS = { a: "with a GIL threads", b: "without it threads", c: "interpreters" };
  const lookOf = ({ way, gil }) =>
    way === "threads" ? (gil ? "a" : "b") : gil ? "c" : undefined;

  const secondsFit = (table) =>
    isTable(table) && Object.entries(table).every(([key, each]) =>
      /^[1-9]\d{0,3}$/.test(key) && Array.isArray(each) && each.length > 0 &&
      each.every(positive));

  const surveyFits = (one) =>
    isTable(one) && typeof one.python === "string" && typeof one.gil === "boolean" &&
    secondsFit(one.threads) && secondsFit(one.interpreters) && "1" in one.threads;

  /** Speed-ups over one thread, by way and by the number of workers. */
  function gains(survey) {
    const alone = median(survey.threads["1"]);
    return Object.fromEntries(["threads", "interpreters"].map((way) => [
      way,
      Object.entries(survey[way])
        .map(([k, each]) => [Number(k), alone / median(each)])
        .sort((a, b) => a[0] - b[0]),
    ]));
  }

  function summarise(raw) {
    const { cpu, cpus } = raw.hardware;
    const fits = Array.isArray(raw.data) && raw.data.length > 0 && raw.data.length <= 50 &&
      raw.data.every(surveyFits) && Number.isInteger(cpus) && cpus > 0;
    if (!fits) throw misfit(TOPIC);
    return {
      label: `${cpu}, ${cpus} CPU${cpus === 1 ? "" : "s"}`.slice(0, 60),
      cpus,
      lines: raw.data.flatMap((one) =>
        Object.entries(gains(one))
          .map(([way, found]) => ({ python: one.python, way, gil: one.gil, gains: found }))
          .filter((each) => each.gains.length && lookOf(each))),
    };
  }

  function bestOf(machine) {
    const parts = Object.entries(WORDS).flatMap(([look, words]) => {
      const found = machine.lines.filter((one) => lookOf(one) === look)
        .flatMap((one) => one.gains.map(([, gain]) => gain));
      return found.length ? [`${words} reach ${three(Math.max(...found))}`] : [];
    });
    return `${machine.label}: ${parts.join(", ")} times one thread.`;
  }

  exploreKit.define("machine", ({ record }, ours) => {
    const yours = record ? summarise(readRecord(record, TOPIC)) : null;
    const machines = yours ? [...ours, yours] : ours;
    const marks = [], rows = [], shown = [1];
    let most = 2;
    for (const machine of machines)
      for (const one of machine.lines) {
        const look = lookOf(one);
        marks.push(line(look, one.gains));
        if (machine === yours) marks.push(dots(look, one.gains));
        shown.push(...one.gains.map(([, gain]) => gain));
        most = Math.max(most, one.gains.at(-1)[0]);
        rows.push([
          machine === yours ? "yours" : machine.label,
          `${one.python} ${one.gil ? "with" : "without"} GIL`,
          one.way,
          one.gains.map(([k, gain]) => `${k}: ${three(gain)}`).join("; "),
        ]);
      }
    const cpus = machines.at(-1)?.cpus ?? 1;
    const ideal = Array.from({ length: most }, (_, n) => n + 1)
      .map((k) => [k, k / Math.ceil(k / cpus)]);
    shown.push(...ideal.map(([, gain]) => gain));
    const said = ours.map((one) => `Recorded: ${bestOf(one)}`).join(" ") +
      (yours ? ` Yours: ${bestOf(yours)}` : " Your machine's record has not been chosen.");
    return {
      alt: "Speed-up against workers, a line for each Python and each way: recorded" +
        " machines, and yours with markers.",
      said: said.trim(),
      head: ["machine", "Python", "way", "speed-up by workers"],
      rows,
      height: 320,
      x: axis("workers", most),
      y: axis("speed-up", 1.1 * Math.max(...shown)),
      marks: [line("e", ideal), ...marks],
    };
  });
}
