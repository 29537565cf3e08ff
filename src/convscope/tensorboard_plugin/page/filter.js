// The filter for all views: an expression as `compare.py --where` takes it.

import { element } from "./element.js";
import * as state from "./state.js";
import { numbered } from "./text.js";

export function filterBar() {
  const box = element("input", {
    type: "search",
    name: "where",
    spellcheck: "false",
    autocomplete: "off",
    placeholder: "stride == 2 and test_accuracy > 0.98",
    title: "Columns by the names that the table's headings show when pointed at; ==, <, in [1, 2], and, or, not",
    "aria-describedby": "filter-problem",
    change: () => state.change({ where: box.value.trim() }),
  });
  const problem = element("p", { class: "problem", id: "filter-problem", role: "alert" });
  const amount = element("p", { class: "amount", role: "status" });
  const root = element(
    "form",
    { class: "filter", role: "search", submit: (event) => event.preventDefault() },
    element("label", {}, "Filter", box),
    amount,
    problem,
  );

  // `sentence`: what is wrong with the filter; undefined where that is not known anew.
  function show(answer, sentence) {
    if (document.activeElement !== box) box.value = state.get("where");
    if (answer) amount.textContent = amountOf(answer);
    if (sentence === undefined) return;
    problem.textContent = sentence;
    box.setAttribute("aria-invalid", String(sentence !== ""));
  }

  return { root, show };
}

function amountOf({ all, groups, runs, where }) {
  const variants = numbered(groups.length, "variant");
  return where
    ? `${variants} of ${all.groups}, ${numbered(runs.length, "run")} of ${all.runs}`
    : `${variants}, ${numbered(runs.length, "run")}`;
}
