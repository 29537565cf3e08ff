// The views, in the order of their tabs.

import { aboutTable } from "./about.js";
import { chartsView } from "./charts.js";
import { diffView } from "./diff.js";
import { element } from "./element.js";
import { findingsView } from "./findings.js";
import * as state from "./state.js";
import { tableView } from "./table.js";

const fixed = (...pairs) => () => pairs;

const COST = {
  label: "Against",
  options: fixed(
    ["train_samples_per_sec", "training samples/s"],
    ["macs", "MACs per image"],
    ["params", "parameters"],
  ),
};
const VALUE = {
  label: "Heat map of",
  options: fixed(
    ["test_accuracy", "test accuracy"],
    ["final_map", "last feature map"],
    ["train_samples_per_sec", "training samples/s"],
    ["macs", "MACs per image"],
  ),
};
const METRIC = {
  label: "Curves of",
  options: fixed(
    ["val/accuracy", "validation accuracy"],
    ["val/loss", "validation loss"],
    ["train/accuracy", "training accuracy"],
    ["train/loss", "training loss"],
    ["throughput/train_samples_per_sec", "training samples/s"],
  ),
};
const SETTING = {
  label: "Setting",
  options: ({ settings }) => [["", "the one with most runs"], ...settings.map((one) => [one, one])].slice(
    settings.length > 1 ? 0 : 2,
  ),
};

export function views() {
  const table = tableView();
  const about = aboutTable();
  const reveal = table.reveal;
  return {
    table: {
      title: "Table",
      root: element("div", {}, table.root, about.root),
      update(answer) {
        table.update(answer);
        about.update(answer);
      },
    },
    findings: { title: "Findings", ...findingsView() },
    cost: {
      title: "Accuracy and cost",
      ...chartsView({ cost: COST }, { accuracy_against: ["cost"] }, reveal),
    },
    geometry: {
      title: "Kernel, stride, padding",
      ...chartsView(
        { value: VALUE, setting: SETTING },
        { heat: ["value", "setting"], effects: ["setting"] },
        reveal,
      ),
    },
    parallel: { title: "Parallel coordinates", ...chartsView({}, { parallel: [] }, reveal) },
    maps: { title: "Feature maps", ...chartsView({}, { map_sizes: [] }, reveal) },
    curves: { title: "Learning curves", ...chartsView({ metric: METRIC }, { curves: ["metric"] }, reveal) },
    diff: {
      ...diffView(),
      get title() {
        const picked = state.list("picked").length;
        return picked ? `Side by side (${picked})` : "Side by side";
      },
    },
  };
}
