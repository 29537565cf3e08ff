// A view of figures with their choices above them.

import { choice, element, option } from "./element.js";
import { figureOf } from "./figure.js";
import { keeper, refill } from "./kept.js";
import * as state from "./state.js";

// `figures`: as the server describes them. `reveal`: told the groups of a clicked point.
export function chartsView(figures, reveal) {
  const bar = element("div", { class: "controls" });
  const drawn = figures.map((one) => figureOf(one, reveal));
  const root = element("div", {}, bar, element("div", { class: "figures" }, ...drawn.map((one) => one.root)));
  const choices = new Map(figures.flatMap((one) => one.choices.map((made) => [made.key, made])));
  const kept = keeper();

  function update(answer) {
    const shown = [...choices.values()].map((one) => control(one, answer, kept)).filter(Boolean);
    refill(bar, shown);
    kept.turn();
    for (const one of drawn) one.update(answer);
  }

  return { root, update };
}

// A choice without options of its own is among the settings; of one option there is no choice. Of
// the metrics only those are offered that a run has.
function control({ key, label, options }, { settings, absent }, kept) {
  const all = options.length ? options : [["", "the one with most runs"], ...settings.map((one) => [one, one])];
  if (!options.length && settings.length < 2) return null;
  const [usual] = all[0];
  const chosen = state.get(key) || usual;
  const own = all.filter(([value]) => value === chosen || value === usual || !absent.includes(value));
  return kept.node(key, [own, chosen], () =>
    choice(
      label,
      own.map(([value, text]) => option(value, text, chosen)),
      (value) => state.change({ [key]: value === usual ? "" : value }),
    ),
  );
}
