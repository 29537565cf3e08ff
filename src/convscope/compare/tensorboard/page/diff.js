// Two picked runs side by side: how they were set, what that made of the network, what came of it.

import { choice, element, option } from "./element.js";
import { keeper, refill } from "./kept.js";
import { ask } from "./server.js";
import * as state from "./state.js";
import { percent, plain } from "./text.js";

const PARTS = {
  config: "Configuration",
  geometry: "Geometry",
  result: "Result",
  environment: "Environment",
};

export function diffView() {
  const bar = element("div", { class: "controls" });
  const note = element("p", { class: "note", role: "status" });
  const body = element("div", { class: "scrolled", tabindex: "0", role: "region", "aria-label": "Side by side" });
  const root = element("div", {}, bar, note, body);
  const kept = keeper();
  let asked = null;
  let told = null;

  async function update(answer) {
    const [first = "", second = ""] = state.list("picked");
    const equal = state.get("equal");
    const runs = [answer.version, answer.where];
    refill(bar, [
      kept.node("first", [runs, first, second], () =>
        runChoice("First", answer, first, (id) => pickBoth(id, second)),
      ),
      kept.node("second", [runs, first, second], () =>
        runChoice("Second", answer, second, (id) => pickBoth(first, id)),
      ),
      kept.node("equal", equal, () => equalChoice(equal)),
    ]);
    kept.turn();
    const question = JSON.stringify([first, second, answer.version]);
    if (question !== asked) {
      asked = question;
      const answered = second ? await ask("diff", { first, second }).catch((error) => ({ error })) : null;
      if (question !== asked) return;
      told = answered;
      // What could not be told is asked again.
      if (told?.error) asked = null;
    }
    show();
  }

  function show() {
    note.textContent = noteOn(told);
    const rows = (told?.rows ?? []).filter((row) => row.differs || state.get("equal"));
    body.replaceChildren(...(rows.length ? [diffTable(told, rows)] : []));
  }

  return { root, update };
}

function noteOn(told) {
  if (!told) return "Pick two variants or runs here, or by their boxes in the table.";
  if (told.error) return told.error.message;
  return told.rows.some((row) => row.differs) ? "" : "Nothing that is recorded differs.";
}

function pickBoth(first, second) {
  state.change({ picked: `${first} ${second}`.trim() });
}

function runChoice(label, answer, chosen, change) {
  const groups = answer.groups.map((group) => option(group.group, `${group.label}, first seed`, chosen));
  const runs = answer.runs.map((run) => option(run.id, `${run.label}, seed ${run.seed}`, chosen));
  const known = [...groups, ...runs].some((one) => one.selected);
  const options = [
    ...(known ? [] : [option(chosen, chosen ? "not in the filter" : "none", chosen)]),
    element("optgroup", { label: "Variants" }, ...groups),
    element("optgroup", { label: "Runs" }, ...runs),
  ];
  return choice(label, options, change);
}

function equalChoice(equal) {
  const box = element("input", {
    type: "checkbox",
    "data-id": "equal",
    checked: Boolean(equal),
    change: () => state.change({ equal: box.checked ? "1" : "" }),
  });
  return element("label", { class: "choice" }, box, "also what is equal");
}

function diffTable(told, rows) {
  const head = [null, told.first, told.second].map((run) =>
    element("th", { scope: "col" }, ...(run ? named(run) : [])),
  );
  const parts = Object.entries(PARTS).flatMap(([part, title]) => {
    const own = rows.filter((row) => row.part === part);
    const heading = element("tr", { class: "part" }, element("th", { colspan: 3, scope: "rowgroup" }, title));
    return own.length ? [element("tbody", {}, heading, ...own.map(diffRow))] : [];
  });
  return element("table", { class: "diff" }, element("thead", {}, element("tr", {}, ...head)), ...parts);
}

function named({ label, seed, study, run }) {
  return [
    element("strong", {}, `${label}, seed ${seed}`),
    element("small", {}, `${study}/${run}`),
  ];
}

function diffRow(row) {
  const format = row.key.endsWith("_accuracy") ? percent : plain;
  return element(
    "tr",
    { class: row.differs ? "differs" : "equal", "data-key": row.key },
    element("th", { scope: "row" }, row.key),
    element("td", {}, format(row.first)),
    element("td", {}, format(row.second)),
  );
}
