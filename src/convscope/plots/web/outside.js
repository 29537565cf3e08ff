// Above a box that scrolls sideways: how many of its table's columns lie outside, to the right.

import { element } from "./element.js";
import { numbered } from "./text.js";

export function outside(box) {
  const hint = element("p", { class: "hint", "aria-hidden": "true" });

  function tell() {
    const edge = box.getBoundingClientRect().right;
    const heads = [...box.querySelectorAll("thead th")];
    const hidden = heads.filter((head) => head.getBoundingClientRect().right > edge + 2).length;
    hint.textContent = hidden ? `${numbered(hidden, "more column")} to the right: scroll the table sideways →` : "";
    box.classList.toggle("more", hidden > 0);
  }

  box.addEventListener("scroll", tell, { passive: true });
  const resized = new ResizeObserver(tell);
  resized.observe(box);
  // The table grows where its rows come, or a column.
  resized.observe(box.querySelector("table"));
  return hint;
}
