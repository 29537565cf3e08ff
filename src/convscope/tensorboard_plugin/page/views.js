// The views, in the order of their tabs: those of the figures come from the server's list.

import { aboutTable } from "./about.js";
import { chartsView } from "./charts.js";
import { diffView } from "./diff.js";
import { element } from "./element.js";
import { findingsView } from "./findings.js";
import * as state from "./state.js";
import { tableView } from "./table.js";

export function views(figures) {
  const table = tableView();
  const about = aboutTable();
  const shown = {
    table: {
      title: "Table",
      root: element("div", {}, table.root, about.root),
      update(answer) {
        table.update(answer);
        about.update(answer);
      },
    },
    findings: { title: "Findings", ...findingsView() },
  };
  for (const { view } of figures) {
    const own = figures.filter((one) => one.view.key === view.key);
    shown[view.key] ??= { title: view.title, ...chartsView(own, table.reveal) };
  }
  shown.diff = {
    ...diffView(),
    get title() {
      const picked = state.list("picked").length;
      return picked ? `Side by side (${picked})` : "Side by side";
    },
  };
  return shown;
}
