// The columns of the table: key as the filter takes it, title, what it is, and how a row reads.

import { plain } from "./text.js";

const INTERVAL = {
  key: "test_accuracy_low",
  title: "95 % interval",
  hint: "thick: 95 % interval of the mean accuracy; thin: from the worst seed to the best",
  measured: true,
  interval: true,
};

// Metrics come from the registry: those that vary from seed to seed, and those of the network.
// Config keys that differ between the runs lie between the factors and the count of runs.
export function columnsOf({ factors, groups, metrics }) {
  const keys = groups.length ? Object.keys(groups[0]) : [];
  const varied = keys.slice(keys.indexOf("padding_policy") + 1, keys.indexOf("runs"));
  const studies = new Set(groups.map((row) => row.study)).size > 1;
  return [
    { key: "label", title: "Variant", hint: "its convolutions, in pixels", words: true },
    ...(studies ? [{ key: "study", title: "Study", hint: "the folder of its runs", words: true }] : []),
    ...metrics.filter((one) => one.measured).flatMap((one) => (one.key === "test_accuracy" ? [one, INTERVAL] : [one])),
    { key: "runs", title: "Seeds", hint: "finished runs, one per seed", text: runs },
    ...metrics.filter((one) => !one.measured),
    ...varied.map((key) => ({ key, title: titleOf(key), hint: "differs between runs" })),
    ...factors.map(({ key, title }, at) => ({
      key,
      title: titleOf(title),
      hint: "the sizes of all layers or their name; sorted and filtered by the first layer's",
      words: groups.some((row) => typeof row[key] === "string"),
      text: (row) => row.levels[at],
    })),
  ];
}

// `Max epochs` of trainer.max_epochs; the hint has the key as it is typed.
function titleOf(key) {
  const words = key.split(".").at(-1).replaceAll("_", " ");
  return words === "lr" ? "LR" : words[0].toUpperCase() + words.slice(1);
}

// Metrics come as text, the same as in the terminal and the report.
export function cellText(column, row) {
  return column.text ? column.text(row) : (row.texts?.[column.key] ?? plain(row[column.key]));
}

function runs({ runs: finished, unfinished }) {
  return [finished || "", unfinished].filter(Boolean).join(" + ");
}
