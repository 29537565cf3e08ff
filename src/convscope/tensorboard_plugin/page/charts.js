// A view of figures with the choices above them.

import { choice, element, option } from "./element.js";
import { figureOf } from "./figure.js";
import { keeper, refill } from "./kept.js";
import * as state from "./state.js";

// `controls`: label and [value, text] pairs by key of the state; `figures`: choices by name.
export function chartsView(controls, figures, reveal) {
  const bar = element("div", { class: "controls" });
  const drawn = Object.entries(figures).map(([name, keys]) => figureOf(name, keys, reveal));
  const root = element("div", {}, bar, element("div", { class: "figures" }, ...drawn.map((one) => one.root)));
  const kept = keeper();

  function update(answer) {
    refill(
      bar,
      Object.entries(controls).flatMap(([key, { label, options }]) => {
        const pairs = options(answer);
        const chosen = state.get(key);
        const make = () =>
          choice(
            label,
            pairs.map(([value, text]) => option(value, text, chosen)),
            (value) => state.change({ [key]: value }),
          );
        return pairs.length > 1 ? [kept.node(key, [pairs, chosen], make)] : [];
      }),
    );
    kept.turn();
    for (const one of drawn) one.update(answer);
  }

  return { root, update };
}
