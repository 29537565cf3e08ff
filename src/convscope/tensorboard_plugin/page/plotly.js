// Plotly, from the bundle that its Python package carries; loaded once.

import { element } from "./element.js";

let loaded = null;

export function plotly() {
  loaded ??= new Promise((resolve, reject) => {
    const src = new URL("plotly.min.js", import.meta.url).href;
    const failed = () => reject(new Error("Plotly could not be loaded: reload the page."));
    const done = () => resolve(window.Plotly);
    document.head.append(element("script", { src, load: done, error: failed }));
  });
  return loaded;
}
