// What all figures share: numbers in words, axes, drawing, and the controls.
// `drawn.py` does the first three when the book is built, in the same way.
"use strict";
globalThis.exploreKit = (() => {
  const TOP = 26, BOTTOM = 46, MOST_TICKS = 7;
  const MARKERS = {
    a: "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0z",
    b: "M-4-4h8v8h-8z",
    c: "M0-5.5L5 4H-5z",
    d: "M0-6L5 0L0 6L-5 0z",
    e: "M-4-4L4 4M-4 4L4-4",
  };
  const HATCHED = "bd";
  const PREFIXES = [
    [1e15, "P"], [1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""],
    [1e-3, "m"], [1e-6, "µ"], [1e-9, "n"],
  ];
  const PAUSE = 500; // milliseconds of quiet before the result is read out
  const MOST_BYTES = 1e6; // of a file

  // ------------------------------------------------------ numbers in words

  function three(value) {
    if (!Number.isFinite(value)) return "∞";
    if (Math.abs(value) >= 999.5)
      return BigInt(Math.floor(value + 0.5)).toLocaleString("en");
    if (value === 0) return "0";
    const digits = 2 - Number(value.toExponential(20).split("e")[1]);
    return digits > 0
      ? value.toFixed(digits).replace(/\.?0+$/, "")
      : value.toFixed(0);
  }

  const percent = (share) => `${three(100 * share)} %`;

  function si(value, unit) {
    if (!Number.isFinite(value)) return "∞";
    if (unit === "s" && value >= 1) return `${three(value)} s`;
    for (const [factor, prefix] of PREFIXES)
      if (value >= factor) return `${three(value / factor)} ${prefix}${unit}`;
    return `${three(value)} ${unit}`;
  }

  function many(count) {
    for (const [factor, word] of [[1e12, "trillion"], [1e9, "billion"], [1e6, "million"]])
      if (count >= factor) return `${three(count / factor)} ${word}`;
    return three(count);
  }

  // ------------------------------------------------------------------ axes

  function logAxis(label, low, high, base, text = three) {
    let first = 0, last = 0;
    while (base ** first > low * (1 + 1e-9)) first -= 1;
    while (base ** (first + 1) <= low * (1 + 1e-9)) first += 1;
    while (base ** last < high * (1 - 1e-9)) last += 1;
    while (base ** (last - 1) >= high * (1 - 1e-9)) last -= 1;
    last = Math.max(last, first + 1);
    const step = Math.ceil((last - first + 1) / MOST_TICKS);
    const ticks = [];
    for (let n = first; n <= last; n += step) ticks.push(base ** n);
    return {
      label, from: base ** first, to: base ** last, log: true,
      ticks: ticks.map((tick) => [tick, text(tick)]),
    };
  }

  function axis(label, to, text = three) {
    let power = 0;
    while (10 ** (power + 1) * 5 <= to) power += 1;
    while (10 ** power * 5 > to) power -= 1;
    const step = [1, 2, 5, 10].map((n) => n * 10 ** power).find((s) => s * 6 >= to);
    const ticks = Array.from({ length: Math.floor(to / step + 1e-9) + 1 }, (_, n) => n * step);
    return {
      label, from: 0, to, log: false,
      ticks: ticks.map((tick) => [tick, text(tick)]),
    };
  }

  const names = (label, texts) => ({
    label, from: 0, to: texts.length, log: false,
    ticks: texts.map((text, n) => [n + 0.5, text]),
  });

  /** 1, 2, 4 … most, and so many parts of each step. */
  function doubling(most, parts = 1) {
    const steps = Math.floor(Math.log2(most)) * parts;
    return Array.from({ length: steps + 1 }, (_, n) => 2 ** (n / parts));
  }

  const line = (look, at) => ({ kind: "line", look, at });
  const dots = (look, at) => ({ kind: "dots", look, at });
  const rule = (look, at, label) => ({ kind: "rule", look, at, label });
  const arrow = (at) => ({ kind: "arrow", look: "e", at });
  const box = (look, across, down, label = "") => ({
    kind: "box", look, at: [...across, ...down], label,
  });

  // --------------------------------------------------------------- drawing

  function make(name, attributes = {}, ...children) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes))
      made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  function share(axis, value) {
    let { from: low, to: high } = axis;
    if (axis.log) {
      value = Math.log(Math.max(value, low));
      [low, high] = [Math.log(low), Math.log(high)];
    }
    return (value - low) / (high - low);
  }

  /** The contents of the picture of a scene. */
  function draw(scene, name) {
    const { height } = scene, bottom = height - BOTTOM, deep = bottom - TOP;
    const at = (value) => 100 * share(scene.x, value);
    const x = (value) => `${at(value).toFixed(3)}%`;
    const y = (value) => {
      const part = share(scene.y, value);
      return TOP + deep * (scene.y.down ? part : 1 - part);
    };
    const stroke = (look, x1, y1, x2, y2, more = {}) =>
      make("line", {
        class: look, x1, x2, y1: y1.toFixed(2), y2: y2.toFixed(2), ...more,
      });
    const text = (look, left, down, words, anchor) =>
      make("text", {
        class: look, x: left, y: down.toFixed(2), "text-anchor": anchor,
      }, words);
    const parts = [];
    for (const [value, words] of scene.x.ticks) {
      if (!scene.x.bare) parts.push(stroke("grid", x(value), TOP, x(value), bottom));
      parts.push(text("tick", x(value), bottom + 17, words, "middle"));
    }
    for (const [value, words] of scene.y.ticks) {
      if (!scene.y.bare) parts.push(stroke("grid", "0%", y(value), "100%", y(value)));
      parts.push(text("tick", "-8", y(value) + 4, words, "end"));
    }
    parts.push(stroke("edge", "0%", bottom, "100%", bottom));
    parts.push(text("name", "50%", height - 8, scene.x.label, "middle"));
    parts.push(text("name", "-8", 12, scene.y.label, "start"));
    const kinds = {
      line({ look, at: points }) {
        const joined = points.map(([a, b]) => `${at(a).toFixed(3)},${y(b).toFixed(2)}`);
        return [make("svg", {
          viewBox: `0 0 100 ${height}`, width: "100%", height,
          preserveAspectRatio: "none",
        }, make("polyline", { class: `line ${look}`, points: joined.join(" ") }))];
      },
      dots: ({ look, at: points }) =>
        points.map(([a, b]) =>
          make("svg", { class: "dot", x: x(a), y: y(b).toFixed(2) },
            make("path", { class: look, d: MARKERS[look] }))),
      rule: ({ look, at: value, label }) => [
        stroke(`rule ${look}`, x(value), TOP, x(value), bottom),
        text("said", x(value), TOP - 4, label, at(value) > 55 ? "end" : "start"),
      ],
      arrow: ({ look, at: [x1, y1, x2, y2] }) => [
        stroke(`arrow ${look}`, x(x1), y(y1), x(x2), y(y2),
          { "marker-end": `url(#${name}-tip)` }),
      ],
      box({ look, at: [x1, x2, y1, y2], label }) {
        const [left, right] = [at(x1), at(x2)];
        const [top, low] = [y(y1), y(y2)].sort((a, b) => a - b);
        const place = {
          x: `${left.toFixed(3)}%`, y: top.toFixed(2),
          width: `${(right - left).toFixed(3)}%`, height: (low - top).toFixed(2),
        };
        const drawn = [make("rect", { class: `box ${look}`, ...place })];
        if (HATCHED.includes(look))
          drawn.push(make("rect", { fill: `url(#${name}-hatch)`, ...place }));
        if (label && right - left >= 0.4 + 2.2 * label.length)
          drawn.push(text("in", `${((left + right) / 2).toFixed(3)}%`,
            (top + low) / 2 + 4, label, "middle"));
        return drawn;
      },
    };
    return [...parts, ...scene.marks.flatMap((mark) => kinds[mark.kind](mark))];
  }

  function fillTable(table, { head, rows }) {
    const cell = (name, text, scope) => {
      const made = document.createElement(name);
      if (scope) made.scope = scope;
      made.textContent = text;
      return made;
    };
    const row = (cells) => {
      const made = document.createElement("tr");
      made.append(...cells);
      return made;
    };
    table.tHead.replaceChildren(row(head.map((t) => cell("th", t, "col"))));
    table.tBodies[0].replaceChildren(
      ...rows.map(([first, ...rest]) =>
        row([cell("th", first, "row"), ...rest.map((t) => cell("td", t))])),
    );
  }

  class Unsuitable extends Error {}

  // --------------------------------------------------------------- records

  const FIELDS = ["command", "commit", "data", "date", "hardware", "topic", "versions"];
  const isTable = (value) =>
    typeof value === "object" && value !== null && !Array.isArray(value);
  const listed = (names) => `[${names.map((name) => `'${name}'`).join(", ")}]`;

  function isDay(text) {
    const day = new Date(`${text}T00:00:00Z`);
    return /^\d{4}-\d{2}-\d{2}$/.test(text) && !Number.isNaN(day.valueOf()) &&
      day.toISOString().startsWith(text);
  }

  /** What is wrong with a record, as toolbox/records.py says it; or nothing. */
  function problemOf(raw) {
    const have = isTable(raw) ? Object.keys(raw) : [];
    const missing = FIELDS.filter((name) => !have.includes(name));
    const unknown = have.filter(
      (name) => !["curves", "sha256", ...FIELDS].includes(name)).sort();
    if (missing.length || unknown.length)
      return `missing ${listed(missing)}, unknown ${listed(unknown)}`;
    for (const name of ["topic", "date", "command", "commit"])
      if (typeof raw[name] !== "string") return `${name} is not a text`;
    for (const name of ["hardware", "versions", "curves"])
      if (name in raw && !isTable(raw[name])) return `${name} is not a table`;
    if (!isDay(raw.date)) return `date: Invalid isoformat string: '${raw.date}'`;
    if (!("cpu" in raw.hardware && "cpus" in raw.hardware))
      return "hardware lacks cpu or cpus";
    return "";
  }

  const positive = (value) =>
    typeof value === "number" && value > 0 && value < Infinity;

  function median(values) {
    const sorted = [...values].sort((a, b) => a - b), middle = sorted.length >> 1;
    return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  }

  /** A record of this book, as `make record` writes it. */
  function readRecord(text, topic) {
    let raw;
    try {
      raw = JSON.parse(text);
    } catch {
      throw new Unsuitable("This file is not JSON. Choose one that `make record` has" +
        ` written, such as ${topic}_….json.`);
    }
    const problem = problemOf(raw);
    if (problem) throw new Unsuitable(`This is no record of this book: ${problem}.`);
    if (raw.topic !== topic)
      throw new Unsuitable(`This is a record of “${raw.topic.slice(0, 40)}”; this figure` +
        ` draws “${topic}”: choose ${topic}_….json.`);
    return raw;
  }

  // -------------------------------------------------------------- controls

  /** A number as people write it: 1,500 and 1 500 and 1.5 and 1,5. */
  function number(written) {
    let plain = written.trim().replaceAll(/[\s_']/g, "");
    if (/^-?\d+,\d{1,2}$/.test(plain)) plain = plain.replace(",", ".");
    plain = plain.replaceAll(",", "");
    return plain === "" ? NaN : Number(plain);
  }

  /** A measured number, short enough to be read in a field. */
  const short = (value) => String(Number(value.toPrecision(4)));

  function read(field) {
    const { kind, values, least, most } = field.dataset;
    if (field.type === "range")
      return JSON.parse(values)[field.value];
    if (field.type === "file") {
      const text = texts.get(field) ?? "";
      if (text instanceof Unsuitable) throw text;
      return text;
    }
    if (kind !== "number") return field.value;
    const value = number(field.value);
    if (!(value >= Number(least) && value <= Number(most))) {
      const words = field.labels[0].textContent;
      throw new Unsuitable(
        `${words}: write a number from ${Number(least)} to ${Number(most)}, such as 1.5.`,
      );
    }
    return value;
  }

  const figures = {}, fillers = {};
  const texts = new WeakMap(); // what stands in a field's file

  /** Read a file here, in the browser; it is sent nowhere. */
  async function take(field, file) {
    if (!file) texts.delete(field);
    else if (file.size > MOST_BYTES)
      texts.set(field, new Unsuitable(
        `${file.name} has ${si(file.size, "B")}; a record has less than ${si(MOST_BYTES, "B")}.`));
    else
      try {
        texts.set(field, await file.text());
      } catch {
        texts.set(field, new Unsuitable(`${file.name} could not be read.`));
      }
  }

  /** Where steps end depends on other inputs, which are yet to be set. */
  function freeSteps(fields) {
    for (const one of fields)
      if (one.dataset.kind === "step") one.max = JSON.parse(one.dataset.values).length - 1;
  }

  /** Inputs of a figure in the page's address, as in ?explore-amdahl=serial:3. */
  function recall(name, fields) {
    const kept = new URLSearchParams(location.search).get(`explore-${name}`);
    if (kept === null) return false;
    freeSteps(fields);
    for (const pair of kept.split("~")) {
      const [key, ...rest] = pair.split(":");
      const field = fields.find((one) => one.name === key);
      if (!field || field.type === "file") continue;
      if (field.type === "range" && !/^\d+$/.test(rest.join(":"))) continue;
      const before = field.value;
      field.value = rest.join(":");
      if (field.type === "select-one" && field.selectedIndex < 0)
        field.value = before;
    }
    return true;
  }

  function keep(name, fields) {
    const changed = fields.filter((one) =>
      one.type !== "file" && (one.selectedOptions
        ? !one.selectedOptions[0].defaultSelected
        : one.value !== one.defaultValue));
    const query = new URLSearchParams(location.search);
    const text = changed.map((one) => `${one.name}:${one.value}`).join("~");
    if (text) query.set(`explore-${name}`, text);
    else query.delete(`explore-${name}`);
    const rest = String(query) ? `?${query}` : location.pathname;
    try {
      history.replaceState(history.state, "", rest + location.hash);
    } catch {
      // Some browsers refuse this for a page opened from a folder.
    }
  }

  /** Give a figure that stands in the page its life. */
  function start(figure) {
    const name = figure.dataset.explore;
    const form = figure.querySelector("form");
    const fields = [...form.querySelectorAll("input, select, textarea")];
    const part = (which) => figure.querySelector(`.explore-${which}`);
    const svg = part("svg");
    const data = figure.querySelector("script[type='application/json']");
    const given = data ? JSON.parse(data.textContent) : undefined;
    let timer;

    function label(field) {
      const { kind, texts } = field.dataset;
      if (field.type !== "range") return;
      const words = JSON.parse(texts)[field.value];
      field.setAttribute("aria-valuetext", words);
      field.labels[0].querySelector("output").textContent = words;
      if (kind !== "step") return;
      const [back, next] = field.parentElement.querySelectorAll("button");
      // Not `disabled`: that would take the focus away.
      back.setAttribute("aria-disabled", Number(field.value) <= 0);
      next.setAttribute("aria-disabled", Number(field.value) >= Number(field.max));
    }

    function answer() {
      const error = part("error");
      try {
        const inputs = Object.fromEntries(
          fields.filter((f) => f.dataset.kind !== "record").map((f) => [f.name, read(f)]));
        const scene = figures[name](inputs, given);
        for (const [key, most] of Object.entries(scene.limits ?? {}))
          fields.find((f) => f.name === key).max = most;
        svg.setAttribute("aria-label", scene.alt);
        svg.querySelector(":scope > g").replaceChildren(...draw(scene, name));
        part("said").textContent = scene.said;
        fillTable(figure.querySelector("table"), scene);
        error.textContent = "";
        clearTimeout(timer);
        timer = setTimeout(() => {
          part("live").textContent = scene.said;
          keep(name, fields);
        }, PAUSE);
      } catch (problem) {
        if (!(problem instanceof Unsuitable)) throw problem;
        clearTimeout(timer);
        if (error.textContent !== problem.message)
          error.textContent = problem.message;
      }
      fields.forEach(label);
    }

    form.addEventListener("submit", (event) => event.preventDefault());
    /** Put what a record measured into the other fields. */
    function fill(field) {
      const { topic } = field.dataset;
      try {
        const text = read(field);
        if (!text) return true;
        const raw = readRecord(text, topic);
        const values = isTable(raw.data) && fillers[name](raw.data);
        if (!values)
          throw new Unsuitable(
            `This record's data is not what “${topic}” records. Was it changed?`);
        for (const [key, value] of Object.entries(values))
          fields.find((one) => one.name === key).value = value;
        return true;
      } catch (problem) {
        if (!(problem instanceof Unsuitable)) throw problem;
        part("error").textContent = problem.message;
        return false;
      }
    }

    form.addEventListener("input", async ({ target }) => {
      if (target.type === "file") await take(target, target.files[0]);
      if (target.dataset.kind === "record" && !fill(target)) return;
      answer();
    });
    form.addEventListener("reset", () => {
      for (const field of fields) texts.delete(field);
      freeSteps(fields);
      setTimeout(answer);
    });
    const filed = fields.find((field) => field.type === "file");
    if (filed) {
      const over = (event) => {
        event.preventDefault();
        figure.classList.toggle("over", event.type === "dragover");
      };
      figure.addEventListener("dragover", over);
      figure.addEventListener("dragleave", over);
      figure.addEventListener("drop", (event) => {
        over(event);
        if (!event.dataTransfer.files.length) return;
        filed.files = event.dataTransfer.files; // so that its name is shown
        filed.dispatchEvent(new Event("input", { bubbles: true }));
      });
    }
    form.addEventListener("click", ({ target }) => {
      const move = target.closest("[data-move]");
      if (!move) return;
      const field = move.parentElement.querySelector("input");
      field.value = Number(field.value) + Number(move.dataset.move);
      answer();
    });
    form.querySelector("fieldset").disabled = false;
    if (recall(name, fields)) answer();
    else fields.forEach(label);
    figure.dataset.ready = "";
  }

  return {
    Unsuitable, arrow, axis, box, dots, doubling, draw, figures, isTable, line,
    logAxis, many, median, names, number, percent, positive, readRecord,
    rule, short, si, start, three,
    /** How a figure is computed, and which fields a record fills with what. */
    define: (name, scene, filler) => {
      figures[name] = scene;
      fillers[name] = filler;
    },
  };
})();
