// Three laws of scaling, and the reader's own points: scenes/amdahl.py.
"use strict";
{
  const {
    Unsuitable, dots, doubling, line, logAxis, median, percent, positive, short, three,
  } = exploreKit;

  const amdahl = (n, serial) => 1 / (serial + (1 - serial) / n);
  const gustafson = (n, serial) => serial + (1 - serial) * n;
  const usl = (n, contention, coherency) =>
    n / (1 + contention * (n - 1) + coherency * n * (n - 1));
  const peakOf = (contention, coherency) =>
    coherency === 0 ? Infinity : Math.max(1, Math.sqrt((1 - contention) / coherency));

  function readPoints(text) {
    const points = [];
    text.split(/\r?\n/).forEach((row, index) => {
      const words = row.split(/[\s,;]+/).filter(Boolean);
      if (!words.length) return;
      const [workers, speedup] = words.map(Number);
      if (words.length !== 2 || Number.isNaN(workers) || Number.isNaN(speedup))
        throw new Unsuitable(
          `Line ${index + 1} of the points: write workers and speed-up, such as 4 3.2.`,
        );
      if (!(workers >= 1 && workers <= 1e6 && speedup >= 1e-3 && speedup <= 1e6))
        throw new Unsuitable(
          `Line ${index + 1} of the points: workers are at least 1, a speed-up is more than 0.`,
        );
      points.push([workers, speedup]);
    });
    if (points.length > 200)
      throw new Unsuitable("At most 200 points can be drawn.");
    return points;
  }

  /** Least squares within 0 … 1 by Levenberg and Marquardt. */
  function fitUsl(points) {
    const clip = (value) => Math.min(1, Math.max(0, value));
    const loss = ([s, k]) =>
      points.reduce((sum, [n, y]) => sum + (y - usl(n, s, k)) ** 2, 0);
    let at = [0.1, 0.01], damping = 1e-3, now = loss(at);
    for (let round = 0; round < 500 && damping < 1e12; round += 1) {
      const h = [[0, 0], [0, 0]], g = [0, 0];
      for (const [n, y] of points) {
        const f = usl(n, ...at);
        const slope = [(-f * f * (n - 1)) / n, -f * f * (n - 1)];
        for (const i of [0, 1]) {
          g[i] += slope[i] * (y - f);
          for (const j of [0, 1]) h[i][j] += slope[i] * slope[j];
        }
      }
      // Who stands at an edge and is drawn beyond it stays there.
      for (const i of [0, 1])
        if ((at[i] === 0 && g[i] < 0) || (at[i] === 1 && g[i] > 0)) {
          g[i] = 0;
          h[0][1] = h[1][0] = 0;
        }
      const a = h[0][0] * (1 + damping), d = h[1][1] * (1 + damping);
      const determinant = a * d - h[0][1] ** 2;
      const next = [
        clip(at[0] + (d * g[0] - h[0][1] * g[1]) / determinant),
        clip(at[1] + (a * g[1] - h[0][1] * g[0]) / determinant),
      ];
      const then = loss(next);
      if (then < now) {
        [at, now, damping] = [next, then, damping / 5];
      } else damping *= 4;
    }
    return at;
  }

  function fit(own, curve) {
    if (!own.length) return [[], "No points are given."];
    const beyond = new Set(own.map(([n]) => n).filter((n) => n > 1)).size;
    if (beyond < 3)
      return [[], `The points have ${beyond} numbers of workers beyond one, and two` +
        " parameters need at least 3: they are drawn, not fitted."];
    const found = fitUsl(own);
    const widest = Math.max(...own.map(([n]) => n));
    const peak = peakOf(...found);
    const harm = peak < 10 * widest
      ? `more than ${three(peak)} workers would make it slower`
      : "no number of workers near those given makes it slower";
    const said = found.map((value) => three(Math.round(value * 1e6) / 1e6));
    return [
      curve.map((n) => [n, usl(n, ...found)]),
      `The points fit contention ${said[0]} and coherency ${said[1]}: ${harm}.`,
    ];
  }

  exploreKit.define("amdahl", ({ serial, coherency, most, points }) => {
    const own = readPoints(points);
    const top = Math.max(most, ...own.map(([n]) => n));
    const curve = doubling(most, 4);
    const laws = {
      a: curve.map((n) => amdahl(n, serial)),
      b: curve.map((n) => gustafson(n, serial)),
      c: curve.map((n) => usl(n, serial, coherency)),
    };
    const marks = Object.entries(laws).map(([look, ys]) =>
      line(look, curve.map((n, i) => [n, ys[i]])));
    const shown = [...Object.values(laws).flat(), ...own.map(([, y]) => y)];
    const [fitted, words] = fit(own, curve);
    if (fitted.length) {
      marks.push(line("d", fitted));
      shown.push(...fitted.map(([, y]) => y));
    }
    marks.push(dots("d", own));
    const last = Object.values(laws).map((ys) => ys.at(-1));
    const limit = serial ? `never more than ${three(1 / serial)}` : "no limit";
    return {
      alt: "Speed-up against workers, both axes logarithmic: three laws and the points given.",
      said: `${most} workers, ${percent(serial)} serial. The same job is done` +
        ` ${three(last[0])} times sooner (Amdahl; ${limit}). In the same time` +
        ` ${three(last[1])} times as much is done (Gustafson). With coherency` +
        ` ${three(coherency)} the job is done ${three(last[2])} times sooner` +
        ` (Universal Scalability Law; most with ${three(peakOf(serial, coherency))} workers).` +
        ` ${words}`,
      head: ["workers", "Amdahl", "Gustafson", "USL", "efficiency (Amdahl)"],
      rows: doubling(most).map((n) => [
        three(n), three(amdahl(n, serial)), three(gustafson(n, serial)),
        three(usl(n, serial, coherency)), percent(amdahl(n, serial) / n),
      ]),
      height: 340,
      x: logAxis("workers", 1, top, 2),
      y: logAxis("speed-up", Math.min(...shown), Math.max(...shown), 2),
      marks,
    };
  }, ({ workers, nearest }) => {
    const fits = Array.isArray(workers) && workers.every(positive) && Array.isArray(nearest) &&
      nearest.length === workers.length && nearest.length > 0 &&
      nearest.every((each) => Array.isArray(each) && each.length > 0 && each.every(positive));
    if (!fits) return undefined;
    const seconds = nearest.map(median);
    return { points: workers.map((n, i) => `${n} ${short(seconds[0] / seconds[i])}`).join("\n") };
  });
}
