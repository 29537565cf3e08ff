// Called by TensorBoard once the tab is opened.

import { element } from "./element.js";
import { Page } from "./page.js";
import { plotly } from "./plotly.js";

const LOOK_EVERY_MS = 3000;

export async function render() {
  document.documentElement.lang = "en";
  await Promise.all(["theme.css", "page.css"].map(styled));
  const page = new Page();
  // In sight before the server is busy with many runs.
  document.body.append(...page.parts);
  await page.refresh();
  // For the first figure; who draws it says what is wrong.
  plotly().catch(() => {});
  setInterval(() => page.look(), LOOK_EVERY_MS);
  // TensorBoard hides a tab by making it nothing high.
  addEventListener("resize", () => page.look());
}

function styled(name) {
  const { href } = new URL(name, import.meta.url);
  return new Promise((resolve) => {
    document.head.append(element("link", { rel: "stylesheet", href, load: resolve, error: resolve }));
  });
}
