// Which variants are chosen, and which do not differ significantly: told after the table is shown.

import { element } from "./element.js";
import { ask } from "./server.js";

const MEANING = {
  best: ["*", "highest validation accuracy of those compared"],
  not_different: ["~", "test accuracy not significantly different from that of * (95 %)"],
  better: ["+", "test accuracy significantly higher than that of * (95 %)"],
};

// `changed` is called when the marks of what is shown have come.
export function marksOf(changed) {
  let asked = null;
  let told = { best: [], not_different: [], better: [] };

  async function update({ where, version }) {
    const question = JSON.stringify([where, version]);
    if (question === asked) return;
    asked = question;
    const answer = await ask("leaders", { where }).catch(() => null);
    if (question !== asked) return;
    // What could not be asked is asked again.
    if (!answer) asked = null;
    else {
      told = answer;
      changed();
    }
  }

  function kindOf(group) {
    return Object.keys(MEANING).find((kind) => told[kind].includes(group)) ?? null;
  }

  return { update, kindOf };
}

export function mark(kind) {
  const [sign, meaning] = MEANING[kind];
  return element("span", { class: `mark ${kind}`, title: meaning, role: "img", "aria-label": meaning }, sign);
}

export function legend() {
  const meanings = Object.values(MEANING).map((pair) => pair.join(" "));
  return [...meanings, "±: standard deviation over the seeds"].join("; ");
}
