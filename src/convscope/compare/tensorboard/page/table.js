// The table: a row per variant and setting, which opens to its runs.

import { MEASURED, cellText, columnsOf } from "./columns.js";
import { element } from "./element.js";
import { interval, scaleOf } from "./interval.js";
import { keeper, refill } from "./kept.js";
import { sorted } from "./order.js";
import * as state from "./state.js";

const MOST_PICKED = 2;

export function tableView() {
  const head = element("thead");
  const body = element("tbody");
  const root = element(
    "div",
    { class: "scrolled", tabindex: "0", role: "region", "aria-label": "Table of the runs" },
    element("table", { class: "runs" }, head, body),
  );
  const kept = keeper();

  function update(answer) {
    const columns = columnsOf(answer.groups);
    const scale = scaleOf(answer.groups);
    const runs = byGroup(answer.runs);
    const by = state.get("sort");
    const row = (shown, make) => {
      const choices = [state.list("open").includes(shown.group), state.list("picked")];
      return kept.node(shown.id ?? shown.group, [shown, columns, scale, choices], make);
    };
    const rows = sorted(answer.groups, by).flatMap((group) => [
      row(group, () => groupRow(group, columns, scale)),
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
  return element("tr", {}, element("th", { scope: "col", class: "pick" }, "Pick"), ...cells);
}

function groupRow(group, columns, scale) {
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
  return row("group", group.group, group, name, cells, columns);
}

function runRow(run, columns, scale) {
  const name = element("span", { class: "seed", title: run.run }, `seed ${run.seed}`);
  const cells = columns.slice(1).map((column) => {
    if (column.key === "runs") return element("td", { class: `number ${run.status}` }, run.status);
    return cell(column, run, scale);
  });
  return row("run", run.id, run, name, cells, columns);
}

function row(level, id, shown, name, cells, columns) {
  return element(
    "tr",
    { class: level, "data-group": shown.group },
    element("td", { class: "pick" }, pick(id, shown)),
    element("th", { scope: "row" }, name),
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
  const first = columns.indexOf(MEASURED[0]) - 1;
  const reason = element("td", { class: "reason", colspan: MEASURED.length }, row.reason);
  return [...cells.slice(0, first), reason, ...cells.slice(first + MEASURED.length)];
}

function kind({ words, interval }) {
  return words ? "words" : interval ? "drawn" : "number";
}
