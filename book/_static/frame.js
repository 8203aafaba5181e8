// The frame of every page: menus, the search before it is asked, print, offline.
"use strict";

const menus = () => document.querySelectorAll("details.book-menu[open]");

/** One menu at a time; a click elsewhere or Escape closes it. */
document.addEventListener("click", (event) => {
  for (const menu of menus())
    if (!menu.contains(event.target)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of menus()) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

/** A button names what it calls: the policy of a page runs no attribute. */
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-call]");
  if (button) window[button.dataset.call]();
});

/** Copy the text before the button, or select it where that is not allowed. */
document.addEventListener("click", async (event) => {
  const button = event.target.closest(".copybtn");
  if (!button) return;
  const text = button.previousElementSibling;
  const plain = text.cloneNode(true);
  for (const number of plain.querySelectorAll(".linenos")) number.remove();
  const say = (words) => (button.dataset.tooltip = button.ariaLabel = words);
  try {
    await navigator.clipboard.writeText(plain.textContent.replace(/\n$/, ""));
    button.classList.add("success");
    say("Copied");
  } catch {
    getSelection().selectAllChildren(text);
    say("Selected, not copied");
  }
  setTimeout(() => {
    button.classList.remove("success");
    say("Copy");
  }, 2000);
});

// Opened from a folder, a page may read no other page: results come without
// an excerpt.
const offline = location.protocol === "file:";
if (offline) DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

/** Fetch what a search needs while the reader still types. */
function prepare(event) {
  const field = event.target.closest?.(".bd-search input");
  if (!field || offline || document.querySelector("link[rel=prefetch]")) return;
  for (const name of ["searchindex.js", "_static/searchtools.js"])
    document.head.append(
      Object.assign(document.createElement("link"), {
        rel: "prefetch",
        as: "script",
        href: document.documentElement.dataset.content_root + name,
      }),
    );
}
document.addEventListener("input", prepare);
document
  .getElementById("pst-search-dialog")
  ?.addEventListener("focusin", prepare);

/** The page of results needs the index only if something was asked. */
addEventListener("DOMContentLoaded", () => {
  const asked = new URLSearchParams(location.search).get("q");
  if (asked && document.getElementById("search-results"))
    Search.loadIndex("searchindex.js");
});

/**
 * The stylesheet lays out a section when it comes near, and takes its height
 * for a guess until then, so that a telephone shows a long page at once. Who
 * comes to a place inside the page, or comes back, needs true heights; and so
 * does who may go far at once: by a link, by keys, a wheel or a scroll bar.
 */
const root = document.documentElement;
function layOut() {
  if (root.classList.contains("laid-out")) return;
  const place = (block) => block.getBoundingClientRect();
  const above = (block) =>
    place(block).height && place(block).top < innerHeight / 2;
  const blocks = [...document.querySelectorAll(".bd-article section > *")];
  const seen =
    scrollY && blocks.findLast((one) => !one.matches("section") && above(one));
  const before = seen && place(seen).top;
  root.classList.add("laid-out");
  if (seen) scrollBy({ top: place(seen).top - before, behavior: "instant" });
}
const [visit] = performance.getEntriesByType("navigation");
if (location.hash || visit?.type !== "navigate") layOut();
const early = { capture: true, passive: true };
for (const kind of ["click", "keydown", "wheel"])
  addEventListener(kind, layOut, early);
addEventListener(
  "pointerdown",
  (event) => event.pointerType !== "touch" && layOut(),
  early,
);

/**
 * What scrolls sideways is a stop of the Tab key. The theme measures all of it
 * at once when a page is loaded, which holds up a telephone: here each part is
 * measured when it comes near. Until then what may be wide is a stop.
 */
const SCROLLS = "pre, .cell_output > .output, .pst-scrollable-table-container";
const near = new IntersectionObserver(
  (entries) => {
    const seen = entries.filter((one) => one.isIntersecting);
    const parts = seen.map((one) => one.target);
    const wide = parts.map((part) => part.scrollWidth > part.clientWidth);
    parts.forEach((part, n) => (part.tabIndex = wide[n] ? 0 : -1));
  },
  { rootMargin: "100% 0px" },
);

const wideOnPhones = [...document.querySelectorAll(SCROLLS)].filter(
  (part) => part.tabIndex === 0,
);

function setStops() {
  near.disconnect();
  for (const part of wideOnPhones) part.tabIndex = 0;
  for (const part of document.querySelectorAll(SCROLLS)) near.observe(part);
}
addEventListener("load", (event) => {
  event.stopImmediatePropagation(); // the theme's, which comes after
  setStops();
});

let resized;
addEventListener("resize", () => {
  clearTimeout(resized);
  resized = setTimeout(setStops, 300);
});

/** The sidebar slides: what stands beside it changes its width meanwhile. */
addEventListener("transitionend", (event) => {
  if (event.target.matches(".bd-sidebar-primary")) setStops();
});

/** On paper everything is open, and the ground is white. */
let before;
addEventListener("beforeprint", () => {
  const root = document.documentElement.dataset;
  const folds = document.querySelectorAll("article details:not([open])");
  before = { theme: root.theme, folds };
  root.theme = "light";
  for (const fold of folds) fold.open = true;
});
addEventListener("afterprint", () => {
  document.documentElement.dataset.theme = before.theme;
  for (const fold of before.folds) fold.open = false;
});
