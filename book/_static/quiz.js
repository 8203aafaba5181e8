// Tells why an answer is right or wrong; the answers stand in the page. What was
// answered right is kept in this browser and goes nowhere else.
"use strict";

/** What a text may mean: in 1,500 the comma may part thousands or decimals. */
function numbers(text) {
  const plain = text.trim().replaceAll(/[\s_]/g, "");
  return [plain.replaceAll(",", ""), plain.replace(",", ".")]
    .map((written) => (written === "" ? NaN : Number(written)))
    .filter((value) => !Number.isNaN(value));
}

/** An attribute keeps no line ends, so the answer's words are compared. */
const words = (text) => text.trim().split(/\s+/).join(" ");

/** Was an answer given, is it right, and which explanations belong to it? */
function judge(form) {
  const items = [...form.querySelectorAll(".answers li")];
  if (form.dataset.kind === "options") {
    const chosen = [...form.querySelectorAll("input:checked")];
    const picked = new Set(chosen.map((input) => input.value));
    return {
      answered: picked.size > 0,
      right: items.every(
        (item) =>
          picked.has(item.dataset.option) === (item.dataset.correct === "true"),
      ),
      shown: items.filter((item) => picked.has(item.dataset.option)),
      missed: items.some(
        (item) =>
          item.dataset.correct === "true" && !picked.has(item.dataset.option),
      ),
    };
  }
  const given = form.querySelector("input, textarea").value;
  const { answer, tolerance } = items[0].dataset;
  const numeric = form.dataset.kind === "number";
  const right = numeric
    ? numbers(given).some(
        (value) => Math.abs(value - Number(answer)) <= Number(tolerance),
      )
    : words(given) === words(answer);
  return {
    answered: numeric ? numbers(given).length > 0 : given.trim() !== "",
    right,
    shown: right ? items : [],
  };
}

function say(form) {
  const verdict = form.querySelector(".verdict");
  const { answered, right, shown, missed } = judge(form);
  verdict.className = `verdict ${right ? "right" : "wrong"}`;
  verdict.replaceChildren();
  if (!answered) {
    verdict.textContent =
      form.dataset.kind === "number"
        ? "Write a number, such as 1.5."
        : "Give an answer first.";
    return;
  }
  const word = document.createElement("p");
  word.append(Object.assign(document.createElement("strong"), {
    textContent: right ? "Right." : "Not quite.",
  }));
  if (!right && form.dataset.kind !== "options")
    word.append(" Try again, or unfold the answer.");
  if (!right && missed && shown.every((li) => li.dataset.correct === "true"))
    word.append(" What you chose is right, but more is.");
  verdict.append(word);
  for (const item of shown)
    for (const why of item.querySelectorAll(".why"))
      verdict.append(why.cloneNode(true));
}

/** A page by its way from the root of the book, so that a copy has its own. */
function nameOf(address) {
  const { content_root: up } = document.documentElement.dataset;
  const root = new URL(up ?? "./", location).href;
  return new URL(address, location).href.split(/[?#]/)[0].slice(root.length);
}

const KEY = "parallel-ai-quiz"; // a table: page: right answers, of how many

function kept() {
  try {
    return JSON.parse(localStorage.getItem(KEY)) ?? {};
  } catch {
    return {}; // not allowed here, or written by something else
  }
}

function keep(page, right, of) {
  const { [page]: _, ...others } = kept();
  const all = right.length ? { ...others, [page]: { right, of } } : others;
  try {
    localStorage.setItem(KEY, JSON.stringify(all));
  } catch {
    // Then it is forgotten when the page is left.
  }
}

const page = nameOf("");
const forms = [...document.querySelectorAll(".quiz .question")];
/** A question by its words: after an edit it is another one. */
const asked = (form) => words(form.querySelector("legend").textContent);

/** Mark what was answered right, and say how much that is. */
function show() {
  const right = kept()[page]?.right ?? [];
  const done = forms.filter((form) => right.includes(asked(form)));
  for (const form of forms) form.classList.toggle("done", done.includes(form));
  document.querySelector(".quiz-kept")?.remove();
  if (!done.length) return;
  const line = document.createElement("p");
  line.className = "quiz-kept";
  const button = document.createElement("button");
  button.textContent = "Forget";
  button.addEventListener("click", () => {
    keep(page, []);
    show();
  });
  line.append(
    `${done.length} of ${forms.length} answered right, which only this browser knows. `,
    button,
  );
  [...document.querySelectorAll(".quiz")].at(-1).append(line);
}

document.addEventListener("submit", (event) => {
  const form = event.target.closest(".quiz .question");
  if (!form) return;
  event.preventDefault();
  say(form);
  if (!form.querySelector(".verdict.right")) return;
  const right = forms.map(asked).filter((one) =>
    one === asked(form) || kept()[page]?.right?.includes(one));
  keep(page, right, forms.length);
  show();
});

show();
for (const link of document.querySelectorAll(".route a")) {
  const { right, of } = kept()[nameOf(link.href)] ?? {};
  if (right) link.dataset.answered = right.length < of ? `${right.length}/${of}` : "✓";
}
