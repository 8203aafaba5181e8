// What a training needs on each device: scenes/memory.py.
"use strict";
{
  const { axis, box, many, names, rule, si, three } = exploreKit;
  const GIGA = 1e9;
  // Bytes of a parameter, its gradient, its master copy, each state.
  const PRECISIONS = {
    fp32: [4, 4, 0, 4],
    "bf16, fp32 master": [2, 2, 4, 4],
    "bf16 alone": [2, 2, 0, 2],
    "bf16, 8-bit states": [2, 2, 4, 1],
  };
  const STATES = { SGD: 0, momentum: 1, Adam: 2 };
  const KINDS = ["parameters", "gradients", "states", "working", "activations"];

  function trainingBytes(count, precision, optimizer) {
    const [parameter, gradient, master, state] = PRECISIONS[precision];
    return {
      parameters: count * parameter,
      gradients: count * gradient,
      states: count * (STATES[optimizer] * state + master),
    };
  }

  function need(count, ranks, stage, precision, optimizer, unit) {
    const whole = trainingBytes(count, precision, optimizer);
    const part = trainingBytes(Math.ceil(count / ranks), precision, optimizer);
    const [parameter, gradient] = PRECISIONS[precision];
    const moment = (stage >= 2 ? gradient : 0) + (stage === 3 ? parameter : 0);
    return [
      stage === 3 ? part.parameters : whole.parameters,
      stage >= 2 ? part.gradients : whole.gradients,
      stage >= 1 ? part.states : whole.states,
      ranks > 1 ? unit * moment : 0,
    ];
  }

  exploreKit.define("memory", (given) => {
    const { count, precision, optimizer, ranks, layers, activations, device } = given;
    const unit = Math.floor(count / layers);
    const stages = [0, 1, 2, 3].map((stage) => [
      ...need(count, ranks, stage, precision, optimizer, unit),
      Math.round(activations * GIGA),
    ]);
    const totals = stages.map((parts) => parts.reduce((a, b) => a + b));
    const marks = [], rows = [], fits = [];
    stages.forEach((parts, stage) => {
      let left = 0;
      parts.forEach((size, kind) => {
        const right = left + size / GIGA;
        if (size)
          marks.push(box("abcde"[kind], [left, right], [stage + 0.15, stage + 0.85], KINDS[kind]));
        left = right;
      });
      const enough = totals[stage] <= device * GIGA;
      if (enough) fits.push(stage);
      rows.push([`stage ${stage}`, ...parts.map((size) => si(size, "B")),
        si(totals[stage], "B"), enough ? "yes" : "no"]);
    });
    marks.push(rule("e", device, `device ${three(device)} GB`));
    const verdict = fits.length
      ? `It fits a device of ${three(device)} GB in these stages: ${fits.join(", ")}.`
      : `It fits a device of ${three(device)} GB in no stage.`;
    return {
      alt: "Four bars, one for each stage of ZeRO, of the bytes that a device needs" +
        " for parameters, gradients, states, what is gathered for a moment and" +
        " activations; a line marks what the device has.",
      said: `${many(count)} parameters, ${precision}, ${optimizer}, devices: ${ranks}.` +
        ` Each needs ${si(totals[0], "B")} in stage 0 and ${si(totals[3], "B")}` +
        ` in stage 3. ${verdict}`,
      head: ["stage", ...KINDS, "together", "fits"],
      rows,
      height: 300,
      x: axis("GB on each device", 1.05 * Math.max(device, ...totals.map((t) => t / GIGA))),
      y: { ...names("", [0, 1, 2, 3].map((s) => `stage ${s}`)), down: true, bare: true },
      marks,
    };
  });
}
