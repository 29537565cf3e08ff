// A figure that Python has made.

import { draw } from "./draw.js";
import { element } from "./element.js";
import { plotly } from "./plotly.js";
import { Problem, ask } from "./server.js";
import * as state from "./state.js";
import { isDark } from "./theme.js";

// `reveal`: told the groups of a clicked point.
export function figureOf({ name, choices }, reveal) {
  const plot = element("div", { class: "plot" });
  const note = element("p", { class: "note", role: "status" });
  const root = element("figure", { "data-name": name }, element("div", { class: "sideways" }, plot), note);
  let asked = null;
  let again = false;

  async function update(answer) {
    const chosen = Object.fromEntries(choices.map(({ key }) => [key, state.get(key)]));
    if (!answer.settings.includes(chosen.setting)) delete chosen.setting;
    const parameters = { name, where: answer.where, dark: isDark() ? "1" : "", ...chosen };
    const question = JSON.stringify([parameters, answer.version]);
    if (question === asked && !again) return;
    asked = question;
    again = false;
    root.setAttribute("aria-busy", "true");
    if (!plot.childElementCount) note.textContent = "Drawing …";
    try {
      const [figure] = await Promise.all([ask("figure", parameters), plotly()]);
      if (question === asked) await show(figure, JSON.stringify([answer.where, chosen]));
    } catch (error) {
      if (question === asked) fail(error);
    } finally {
      if (question === asked) root.removeAttribute("aria-busy");
    }
  }

  async function show(figure, what) {
    note.textContent = "";
    plot.hidden = false;
    // Zoomed and hidden parts stay as they are while the same thing is shown.
    await draw(plot, figure, { uirevision: what, autosize: true });
    plot.removeAllListeners("plotly_click");
    plot.on("plotly_click", ({ points }) => {
      const groups = [points[0].customdata ?? []].flat().filter(Boolean);
      if (groups.length) reveal(groups);
    });
  }

  function fail(error) {
    // What could not be asked is asked again; what Python has said holds until something changes.
    again = !(error instanceof Problem);
    plot.hidden = true;
    note.textContent = error.message;
  }

  return { root, update };
}
