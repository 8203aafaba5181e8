// Keys and values beside the weights: scenes/cache.py.
"use strict";
{
  const { Unsuitable, dots, doubling, line, logAxis, rule, si, three } = exploreKit;
  const GIGA = 1e9, TERA = 1e12, MOST = 2 ** 20;
  const ROWS = [1, 4, 16, 64, 256, 1024];
  // Bits of a weight, numbers that share a scale, bytes of a number in the cache.
  const NUMBERS = {
    "16 bits": [16, 0, 2],
    "weights in 8 bits": [8, 128, 2],
    "weights in 4 bits": [4, 128, 2],
    "all in 8 bits": [8, 128, 1],
    "32 bits": [32, 0, 4],
  };

  const quantisedBytes = (bits, group) => (bits + (group ? 16 / group : 0)) / 8;

  const cacheBytes = ({ depth, pairs, each }, tokens, size) =>
    2 * depth * pairs * each * size * tokens;

  /** Operations, and bytes of weights and cache, of a step of decoding. */
  const stepWork = (config, rows, tokens, weight, cached, count) => ({
    operations: rows * (2 * count + 4 * config.depth * config.width * tokens),
    weights: count * weight,
    cached: rows * cacheBytes(config, tokens, cached),
  });

  function rowsThatFit(left, config, tokens, cached) {
    const row = cacheBytes(config, tokens, cached);
    return left > 0 ? (left - (left % row)) / row : 0;
  }

  exploreKit.define("cache", (given) => {
    const { depth, heads, shared, each, tokens, rows, numbers } = given;
    if (heads % shared)
      throw new Unsuitable(`${heads} heads of queries cannot be shared out by ${shared}:` +
        " choose a number that divides them, such as 1.");
    const config = { depth, each, width: heads * each, pairs: heads / shared };
    const apart = { ...config, pairs: heads };
    const [bits, group, cached] = NUMBERS[numbers];
    const weight = quantisedBytes(bits, group);
    const count = given.parameters * GIGA;
    const weights = count * weight, room = given.memory * GIGA;
    const most = given.arithmetic * TERA, bandwidth = given.bandwidth * GIGA;

    const work = (shape, n) => stepWork(shape, n, tokens, weight, cached, count);
    const bytes = (one) => one.weights + one.cached;
    const seconds = (one) => Math.max(one.operations / most, bytes(one) / bandwidth);
    const rate = (one, n) => n / seconds(one);
    const fitting = (shape) =>
      rowsThatFit(Math.trunc(room - weights), shape, tokens, cached);
    const decides = (one) =>
      one.operations / bytes(one) > most / bandwidth ? "arithmetic"
        : one.weights >= one.cached ? "the weights" : "the cache";

    const fit = fitting(config);
    const top = Math.max(64, rows, Math.min(2 * fit, MOST));
    const x = logAxis("sequences side by side", 1, top, 2);
    const curve = doubling(x.to, 2);
    const lines = {
      a: curve.map((n) => rate(work(config, n), n)),
      b: curve.map((n) => rate(work(apart, n), n)),
      c: curve.map((n) => rate({ ...work(config, n), cached: 0 }, n)),
    };
    const now = work(config, rows);
    const marks = Object.entries(lines).map(([look, ys]) =>
      line(look, curve.map((n, i) => [n, ys[i]])));
    marks.push(dots("a", [[rows, rate(now, rows)]]));
    if (fit >= 1 && fit <= x.to) marks.push(rule("e", fit, `${three(fit)} fit`));
    const shown = Object.values(lines).flat();
    const token = cacheBytes(config, 1, cached);
    let said = `A token takes ${si(token, "B")} of cache, a sequence of ${three(tokens)}` +
      ` takes ${si(token * tokens, "B")}. The weights take ${si(weights, "B")} of` +
      ` ${si(room, "B")}`;
    said += weights > room ? ": they do not fit."
      : `, and beside them fit ${three(fit)} sequences; if each head of queries had` +
        ` keys of its own, ${three(fitting(apart))}.`;
    said += ` A step with ${three(rows)} takes at least ${si(seconds(now), "s")}, because of` +
      ` ${decides(now)}: at most ${three(rate(now, rows))} tokens/s together,` +
      ` ${three(rate(now, rows) / rows)} for each.`;
    return {
      alt: "Tokens a second against sequences that are decoded side by side, both axes" +
        " logarithmic: three curves that rise together and become flat where the cache," +
        " or arithmetic, decides; a line marks how many sequences fit.",
      said,
      head: ["sequences", "cache", "fits", "a step", "tokens/s together", "for each",
        "what decides"],
      rows: ROWS.map((n) => {
        const one = work(config, n);
        return [three(n), si(one.cached, "B"), n <= fit ? "yes" : "no",
          si(seconds(one), "s"), three(rate(one, n)), three(rate(one, n) / n), decides(one)];
      }),
      height: 340,
      x,
      y: logAxis("tokens a second", Math.min(...shown), Math.max(...shown), 10,
        (value) => si(value, "").trim()),
      marks,
    };
  });
}
