// The reader's machine as two roofs: scenes/roofline.py.
"use strict";
{
  const { dots, line, logAxis, positive, rule, short, si, three } = exploreKit;
  const ROWS = 30_000, INNER = 784, GIGA = 1e9;
  const SIZES = { float32: 4, float64: 8 };

  const attainable = (intensity, operations, bandwidth) =>
    Math.min(operations, intensity * bandwidth);

  /** Operations for each byte of a product. */
  function intensityOf(rows, inner, columns, size) {
    const numbers = rows * inner + inner * columns + rows * columns;
    return (2 * rows * inner * columns) / (size * numbers);
  }

  exploreKit.define("roofline", ({ operations, bandwidth, columns, numbers, reached }) => {
    const size = SIZES[numbers];
    const peak = operations * GIGA, rate = bandwidth * GIGA;
    const most = (intensity) => attainable(intensity, peak, rate);
    const mean = 1 / size, ridge = peak / rate;
    const here = intensityOf(ROWS, INNER, columns, size);
    const low = Math.min(0.1, mean, ridge / 2, here / 2);
    const high = Math.max(1000, here * 2, ridge * 2);
    const x = logAxis("operations for each byte", low, high, 10);
    const marks = [
      line("e", [x.from, ridge, x.to].map((i) => [i, most(i)])),
      rule("e", ridge, `ridge ${three(ridge)}`),
      dots("a", [[here, most(here)]]),
      dots("c", [[mean, most(mean)]]),
    ];
    const lows = [most(x.from)], highs = [peak];
    if (reached) {
      marks.push(dots("d", [[here, reached * GIGA]]));
      lows.push(reached * GIGA);
      highs.push(reached * GIGA);
    }
    const decides = (i) => (i < ridge ? "memory" : "arithmetic");
    let said = `This machine's ridge lies at ${three(ridge)} operations a byte.` +
      ` A product with ${columns} columns of ${numbers} does ${three(here)}:` +
      ` ${decides(here)} decides, and at most ${si(most(here), "FLOP/s")} can be` +
      ` reached. A mean does ${three(mean)} and reaches at most` +
      ` ${si(most(mean), "FLOP/s")}.`;
    if (reached) {
      const part = (reached * GIGA) / most(here);
      said += ` You reached ${three(100 * part)} % of the roof`;
      said += part > 1.05
        ? ": more than there is, so a roof or a count is wrong."
        : ".";
    }
    return {
      alt: "Operations a second against operations for each byte, both axes" +
        " logarithmic: a slanted roof that becomes flat at the ridge, and points on it.",
      said,
      head: ["job", "operations a byte", "at most", "what decides"],
      rows: [1, 4, 16, 64, 256, 1024].map((k) => {
        const i = intensityOf(ROWS, INNER, k, size);
        return [`product, columns: ${k}`, three(i), si(most(i), "FLOP/s"), decides(i)];
      }),
      height: 320,
      x,
      y: logAxis("operations a second", Math.min(...lows), 1.5 * Math.max(...highs), 10,
        (value) => si(value, "")),
      marks,
    };
  }, ({ read, float32 }) => {
    const fits = [read, float32].every((each) =>
      Array.isArray(each) && each.length > 0 && each.every(positive));
    return fits && {
      operations: short(Math.max(...float32) / GIGA),
      bandwidth: short(Math.max(...read) / GIGA),
    };
  });
}
