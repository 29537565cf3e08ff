// A report's figures, drawn when they come near, in the colours of the page; tables and paper.

import { draw } from "./draw.js";
import { outside } from "./outside.js";

// As wide as an A4 page between its margins, at 96 pixels an inch.
const PAPER = 680;
const figures = JSON.parse(document.getElementById("figures").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");
const places = [...document.querySelectorAll(".drawing")];
const tables = [...document.querySelectorAll("table")];

function show(place, theme = dark.matches ? "dark" : "light", own = {}) {
  place.dataset.drawn = theme;
  return draw(place, figures[place.id][theme], own);
}

// A long report opens at once.
const near = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      near.unobserve(target);
      show(target);
    }
  },
  { rootMargin: "100% 0px" },
);
for (const place of places) near.observe(place);
for (const { parentElement: box } of tables) box.before(outside(box));

dark.addEventListener("change", () => {
  for (const place of places) if (place.dataset.drawn) show(place);
});
addEventListener("beforeprint", () => {
  for (const table of tables) {
    table.style.width = "max-content";
    table.style.zoom = Math.min(1, PAPER / table.offsetWidth);
  }
  for (const place of places) {
    near.unobserve(place);
    show(place, "light", { width: PAPER });
  }
});
addEventListener("afterprint", () => {
  for (const table of tables) table.removeAttribute("style");
  // Plotly keeps the last width until it is told to look again.
  for (const place of places) show(place).then(() => Plotly.Plots.resize(place));
});
