// The columns of the table: key as the filter takes it, title, what it is, and how a row reads.

import { count, plain, spread } from "./text.js";

// A row without a finished run has its reason here instead. The rows come in the order of the
// first of them: variants are chosen by it.
export const MEASURED = [
  {
    key: "best_val_accuracy",
    title: "Val accuracy",
    hint: "of the best epoch, on the validation images: mean over the seeds; variants are chosen by it",
  },
  {
    key: "test_accuracy",
    title: "Test accuracy",
    hint: "mean over the seeds ± their standard deviation",
  },
  {
    key: "test_accuracy_low",
    title: "95 % interval",
    hint: "thick: 95 % interval of the mean accuracy; thin: from the worst seed to the best",
    interval: true,
  },
  {
    key: "train_samples_per_sec",
    title: "Samples/s",
    hint: "in training: mean over the seeds ± their standard deviation",
    text: (row) => spread(row.train_samples_per_sec, row.train_samples_per_sec_std, count),
  },
  { key: "step_ms", title: "Step ms", hint: "milliseconds per training step: mean over the seeds" },
];

const NETWORK = [
  {
    key: "final_map",
    title: "Map",
    hint: "height x width of the last feature map",
    text: (row) => plain(row.map),
  },
  { key: "receptive_field", title: "RF", hint: "receptive field of one of its units, pixels" },
  { key: "macs", title: "MACs", hint: "multiply-accumulates per image" },
  { key: "params", title: "Params", hint: "parameters" },
];

// Config keys that differ between the runs lie between the factors and the count of runs.
export function columnsOf({ factors, groups }) {
  const keys = groups.length ? Object.keys(groups[0]) : [];
  const varied = keys.slice(keys.indexOf("padding_policy") + 1, keys.indexOf("runs"));
  const studies = new Set(groups.map((row) => row.study)).size > 1;
  return [
    { key: "label", title: "Variant", hint: "its convolutions, in pixels", words: true },
    ...(studies ? [{ key: "study", title: "Study", hint: "the folder of its runs", words: true }] : []),
    ...MEASURED,
    { key: "runs", title: "Seeds", hint: "finished runs, one per seed", text: runs },
    ...NETWORK,
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
