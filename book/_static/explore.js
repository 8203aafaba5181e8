// Loads the scripts of a figure when the reader comes near it. Classic
// scripts: a page opened from a folder may not import modules.
"use strict";
{
  const base = document.currentScript.src.replace(/explore\.js.*$/, "explore/");
  const loading = new Map();

  function load(name, version) {
    const address = `${base}${name}.js?v=${version}`;
    if (!loading.has(address)) {
      loading.set(
        address,
        new Promise((done, failed) => {
          const script = document.createElement("script");
          script.src = address;
          script.onload = done;
          script.onerror = () => failed(new Error(address));
          document.head.append(script);
        }),
      );
    }
    return loading.get(address);
  }

  async function start(figure) {
    const { explore, version } = figure.dataset;
    try {
      await load("kit", version);
      await load(explore, version);
      exploreKit.start(figure);
    } catch (error) {
      figure.querySelector(".explore-error").textContent =
        "This figure's script did not load. Picture and table remain.";
      console.error(error);
    }
  }

  const near = new IntersectionObserver(
    (entries) => {
      for (const { isIntersecting, target } of entries) {
        if (!isIntersecting) continue;
        near.unobserve(target);
        start(target);
      }
    },
    { rootMargin: "600px 0px" },
  );
  for (const figure of document.querySelectorAll("[data-explore]"))
    near.observe(figure);
}
