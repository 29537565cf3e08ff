// Below the table: what all its runs share, and what could not be read.

import { element } from "./element.js";
import { keeper, refill } from "./kept.js";
import { numbered, plain } from "./text.js";

export function aboutTable() {
  const root = element("div", { class: "about" });
  const kept = keeper();

  function update({ unreadable, shared }) {
    const own = Object.entries(shared);
    refill(root, [
      ...(unreadable.length ? [kept.node("unreadable", unreadable, () => unreadableRuns(unreadable))] : []),
      ...(own.length ? [kept.node("shared", own, () => sharedValues(own))] : []),
    ]);
    kept.turn();
  }

  return { root, update };
}

function unreadableRuns(reasons) {
  const items = reasons.map((reason) => element("li", {}, reason));
  return element("section", {}, element("h2", {}, "Skipped, unreadable"), element("ul", {}, ...items));
}

function sharedValues(values) {
  const pairs = values.map(([key, value]) =>
    element("div", {}, element("dt", {}, key), element("dd", {}, plain(value))),
  );
  const summary = element("summary", {}, `${numbered(values.length, "setting")} the same in all of them`);
  return element("details", {}, summary, element("dl", {}, ...pairs));
}
