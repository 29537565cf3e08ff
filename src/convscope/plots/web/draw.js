// A figure that Python has made, drawn by Plotly.

const CONFIG = { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["lasso2d", "select2d"] };

// `own`: what the page adds to the figure's layout.
export function draw(place, { data, layout }, own = {}) {
  // Narrower, some texts would overlap: the figure scrolls in its own box.
  place.style.minWidth = `${layout.meta?.least_width ?? 0}px`;
  // Plotly writes into what it is given.
  return Plotly.react(place, structuredClone(data), { ...structuredClone(layout), ...own }, CONFIG);
}
