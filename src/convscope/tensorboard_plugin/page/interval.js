// An interval drawn in a table's cell, on one scale for all rows.

import { element } from "./element.js";
import { percent } from "./text.js";

export function scaleOf(rows) {
  const values = rows.flatMap((row) => [row.test_accuracy_min, row.test_accuracy_max, ...ends(row)]);
  const known = values.filter((value) => typeof value === "number");
  return { low: Math.min(...known), high: Math.max(...known) };
}

export function interval(row, scale) {
  const [low, high] = ends(row);
  const parts = [
    line("bar", low, high, scale),
    line("range", row.test_accuracy_min, row.test_accuracy_max, scale),
    line("mean", row.test_accuracy, row.test_accuracy, scale),
  ];
  const said = `${row.texts.test_accuracy_low}; worst seed ${percent(row.test_accuracy_min)}, best ${percent(row.test_accuracy_max)}`;
  return element("div", { class: "interval", role: "img", "aria-label": said, title: said }, ...parts);
}

// What the bars mean, each beside a bar.
export function intervalKey() {
  const meanings = { bar: "95 % interval of each mean by itself", range: "worst to best seed", mean: "mean" };
  const entries = Object.entries(meanings).map(([kind, meaning]) => {
    const sample = element("span", { class: "interval sample" }, element("span", { class: kind }));
    return element("span", {}, sample, meaning);
  });
  return element("p", { class: "note key" }, "Bars: ", ...entries);
}

// A single run has no interval; that of an accuracy ends at 0 and 1, which Student's does not know.
function ends(row) {
  return typeof row.test_accuracy_low === "number"
    ? [Math.max(row.test_accuracy_low, 0), Math.min(row.test_accuracy_high, 1)]
    : [null, null];
}

function line(kind, from, to, { low, high }) {
  if (typeof from !== "number") return "";
  const share = (value) => (high > low ? (100 * (value - low)) / (high - low) : 50);
  const made = element("span", { class: kind });
  made.style.left = `${share(from)}%`;
  made.style.width = `${share(to) - share(from)}%`;
  return made;
}
