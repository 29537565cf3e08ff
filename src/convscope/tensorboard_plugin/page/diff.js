// Two picked variants or runs side by side: what came of them, how they were set, what that made.

import { choice, element, option } from "./element.js";
import { keeper, refill } from "./kept.js";
import { ask } from "./server.js";
import * as state from "./state.js";
import { numbered } from "./text.js";

const PARTS = {
  result: "Result",
  config: "Configuration",
  geometry: "Geometry",
  environment: "Environment",
};

export function diffView() {
  const bar = element("div", { class: "controls" });
  const note = element("p", { class: "note", role: "status" });
  const body = element("div", { class: "scrolled", tabindex: "0", role: "region", "aria-label": "Side by side" });
  const words = element("ul", { class: "words" });
  const root = element("div", {}, bar, words, note, body);
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
      note.textContent = second ? "Comparing …" : "";
      const answered = second ? await ask("diff", { first, second }).catch((error) => ({ error })) : null;
      if (question !== asked) return;
      told = answered;
      // What could not be told is asked again.
      if (told?.error) asked = null;
    }
    show();
  }

  function show() {
    // A number and its unit stay on one line.
    const items = (told?.words ?? []).map((text) => element("li", {}, text.replaceAll(" %", "\u00a0%")));
    words.replaceChildren(...items);
    words.hidden = !items.length;
    note.textContent = noteOn(told);
    const rows = (told?.rows ?? []).filter((row) => row.differs || state.get("equal"));
    body.replaceChildren(...(rows.length ? [diffTable(told, rows)] : []));
  }

  return { root, update };
}

function noteOn(told) {
  if (!told) return "Pick two variants or runs here, or by their boxes in the table.";
  if (told.error) return told.error.message;
  if (!told.rows.some((row) => row.differs)) return "Nothing that is recorded differs.";
  return told.pairs ? told.note : "";
}

function pickBoth(first, second) {
  state.change({ picked: `${first} ${second}`.trim() });
}

function runChoice(label, answer, chosen, change) {
  const groups = answer.groups.map((group) => option(group.group, `${group.label}, ${seedsOf(group)}`, chosen));
  const runs = answer.runs.map((run) => option(run.id, `${run.label}, seed ${run.seed}`, chosen));
  const known = [...groups, ...runs].some((one) => one.selected);
  const options = [
    ...(known ? [] : [option(chosen, chosen ? "not in the filter" : "none", chosen)]),
    element("optgroup", { label: "Variants" }, ...groups),
    element("optgroup", { label: "Runs" }, ...runs),
  ];
  return choice(label, options, change);
}

function seedsOf({ runs, unfinished }) {
  return runs ? numbered(runs, "seed") : unfinished;
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
  const tested = told.pairs > 0;
  const heads = [[], named(told.first), named(told.second)];
  if (tested) heads.push(["Difference"], ["95 % interval"], ["p"]);
  const head = heads.map((content) => element("th", { scope: "col" }, ...content));
  const parts = Object.entries(PARTS).flatMap(([part, title]) => {
    const own = rows.filter((row) => row.part === part);
    const heading = element(
      "tr",
      { class: "part" },
      element("th", { colspan: heads.length, scope: "rowgroup" }, title),
    );
    return own.length ? [element("tbody", {}, heading, ...own.map((row) => diffRow(row, tested)))] : [];
  });
  return element("table", { class: tested ? "diff tested" : "diff" }, element("thead", {}, element("tr", {}, ...head)), ...parts);
}

function named({ label, seeds, study, run }) {
  const of = run === null ? numbered(seeds.length, "seed") : `seed ${seeds[0]}`;
  return [
    element("strong", {}, `${label}, ${of}`),
    element("small", {}, run === null ? study : `${study}/${run}`),
  ];
}

function diffRow(row, tested) {
  const cells = [...row.texts, ...(tested ? row.change : [])];
  return element(
    "tr",
    { class: row.differs ? "differs" : "equal", "data-key": row.key },
    element("th", { scope: "row" }, row.key),
    ...cells.map((text) => element("td", {}, text)),
  );
}
