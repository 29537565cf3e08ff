// What the runs say in sentences, how far they can be trusted, and what could not be read.

import { element } from "./element.js";
import { ask } from "./server.js";
import { numbered } from "./text.js";

const PARTS = {
  verdict: "What the runs say",
  caveats: "What limits that",
  measured: "How it was measured",
};

export function findingsView() {
  const root = element("div", { class: "findings", "aria-live": "polite" });
  let asked = null;

  async function update(answer) {
    const question = JSON.stringify([answer.where, answer.version]);
    if (question === asked) return;
    asked = question;
    root.setAttribute("aria-busy", "true");
    const runs = numbered(answer.runs.length, "run");
    root.replaceChildren(element("p", { class: "note" }, `Working out what ${runs} say … of many runs this takes a while.`));
    const words = await ask("words", { where: answer.where }).catch((error) => ({ error }));
    if (question !== asked) return;
    root.removeAttribute("aria-busy");
    if (words.error) asked = null;
    root.replaceChildren(
      ...(words.error
        ? [element("p", { class: "note" }, words.error.message)]
        : [
            ...Object.entries(PARTS).flatMap(([key, title]) => part(title, words[key])),
            ...words.tuning.map((one) => listing("Tuning", one)),
            ...words.variances.map((one) => listing("Where the variance comes from", one)),
          ]),
    );
  }

  return { root, update };
}

// A table with its legend.
function listing(title, { columns, rows, legend }) {
  const names = columns.map((name) => name.replace(/^</, ""));
  const head = names.map((name) => element("th", { scope: "col" }, name));
  const body = rows.map(([name, ...cells]) =>
    element("tr", {}, element("th", { scope: "row" }, name), ...cells.map((text) => element("td", {}, text))),
  );
  const table = element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...body));
  return element(
    "section",
    {},
    element("h2", {}, title),
    element("div", { class: "scrolled", role: "region", "aria-label": title, tabindex: 0 }, table),
    element("p", { class: "note" }, legend),
  );
}

function part(title, sentences) {
  // A number and its unit stay on one line.
  const items = sentences.map((sentence) => element("li", {}, sentence.replaceAll(" %", "\u00a0%")));
  return items.length ? [element("section", {}, element("h2", {}, title), element("ul", {}, ...items))] : [];
}
