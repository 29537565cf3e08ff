// The table: a row per variant and setting, which opens to its runs.

import { cellText, columnsOf } from "./columns.js";
import { element } from "./element.js";
import { interval, intervalKey, scaleOf } from "./interval.js";
import { keeper, refill } from "./kept.js";
import { legend, mark, marksOf } from "./marks.js";
import { sorted } from "./order.js";
import { outside } from "./outside.js";
import * as state from "./state.js";

const MOST_PICKED = 2;
const PICK = "Pick two to see them side by side";

export function tableView() {
  const head = element("thead");
  const body = element("tbody");
  const scrolled = element(
    "div",
    { class: "scrolled", tabindex: "0", role: "region", "aria-label": "Table of the runs" },
    element("table", { class: "runs" }, head, body),
  );
  const note = element("p", { class: "note" }, `${legend()}. ${PICK}.`);
  const root = element("div", {}, outside(scrolled), scrolled, intervalKey(), note);
  const kept = keeper();
  const marks = marksOf(() => show());
  let shown = null;

  function update(answer) {
    shown = answer;
    show();
    marks.update(answer);
  }

  function show() {
    const answer = shown;
    const columns = columnsOf(answer);
    const scale = scaleOf(answer.groups);
    const runs = byGroup(answer.runs);
    const by = state.get("sort");
    const row = (one, make) => {
      const own = [state.list("open").includes(one.group), state.list("picked"), marks.kindOf(one.group)];
      return kept.node(one.id ?? one.group, [one, columns, scale, own], make);
    };
    const rows = sorted(answer.groups, by).flatMap((group) => [
      row(group, () => groupRow(group, columns, scale, marks.kindOf(group.group))),
      ...(state.list("open").includes(group.group) ? runs.get(group.group) : []).map((run) =>
        row(run, () => runRow(run, columns, scale)),
      ),
    ]);
    refill(head, [kept.node("head", [columns, by], () => headRow(columns, by))]);
    refill(body, rows);
    kept.turn();
  }

  // Opens these groups and shows the first of them.
  function reveal(groups) {
    const open = new Set([...state.list("open"), ...groups]);
    state.change({ view: "table", open: [...open].join(" ") });
    const row = body.querySelector(`[data-group="${CSS.escape(groups[0])}"]`);
    row?.scrollIntoView({ block: "center" });
    row?.querySelector("button").focus({ preventScroll: true });
  }

  return { root, update, reveal };
}

function byGroup(runs) {
  const groups = new Map();
  for (const run of runs) groups.set(run.group, [...(groups.get(run.group) ?? []), run]);
  return groups;
}

function headRow(columns, by) {
  const cells = columns.map((column) => {
    const { key, title, hint, words } = column;
    const order = by === key ? "ascending" : by === `-${key}` ? "descending" : null;
    // Numbers largest first, words from A: the other way at the second click.
    const next = order === null ? (words ? key : `-${key}`) : order === "ascending" ? `-${key}` : key;
    const sort = element(
      "button",
      {
        type: "button",
        "data-id": `sort ${key}`,
        title: `${key}: ${hint}`,
        click: () => state.change({ sort: next }),
      },
      title,
    );
    return element("th", { scope: "col", class: kind(column), "aria-sort": order }, sort);
  });
  return element("tr", {}, element("th", { scope: "col", class: "pick", title: PICK }, "Pick"), ...cells);
}

function groupRow(group, columns, scale, marked) {
  const open = state.list("open").includes(group.group);
  const name = element(
    "button",
    {
      type: "button",
      class: "name",
      "data-id": `open ${group.group}`,
      "aria-expanded": String(open),
      click: () => state.toggle("open", group.group),
    },
    group.label,
  );
  const cells = columns.slice(1).map((column) => cell(column, group, scale));
  return row("group", group.group, group, [name, marked ? mark(marked) : ""], cells, columns);
}

function runRow(run, columns, scale) {
  const name = element("span", { class: "seed", title: run.run }, `seed ${run.seed}`);
  const cells = columns.slice(1).map((column) => {
    if (column.key === "runs") return element("td", { class: `number ${run.status}` }, run.status);
    return cell(column, run, scale);
  });
  return row("run", run.id, run, [name], cells, columns);
}

function row(level, id, shown, names, cells, columns) {
  return element(
    "tr",
    { class: level, "data-group": shown.group },
    element("td", { class: "pick" }, pick(id, shown)),
    element("th", { scope: "row" }, ...names),
    ...withReason(shown, cells, columns),
  );
}

function pick(id, shown) {
  return element("input", {
    type: "checkbox",
    "data-id": `pick ${id}`,
    "aria-label": `Pick ${shown.run ?? shown.label} for a look side by side`,
    checked: state.list("picked").includes(id),
    change: () => state.toggle("picked", id, MOST_PICKED),
  });
}

function cell(column, row, scale) {
  const shown = column.interval ? interval(row, scale) : cellText(column, row);
  return element("td", { class: kind(column), "data-key": column.key }, shown);
}

// Where nothing was measured, why: in place of the measured columns.
function withReason(row, cells, columns) {
  if (row.test_accuracy !== null || !row.reason) return cells;
  const measured = columns.filter((one) => one.measured);
  const first = columns.indexOf(measured[0]) - 1;
  const reason = element("td", { class: "reason", colspan: measured.length }, row.reason);
  return [...cells.slice(0, first), reason, ...cells.slice(first + measured.length)];
}

function kind({ words, interval }) {
  return words ? "words" : interval ? "drawn" : "number";
}
