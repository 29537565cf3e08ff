"use strict";
{
  // As wide as an A4 page between its margins, at 96 pixels an inch.
  const PAPER = 680;
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const config = { displaylogo: false, responsive: true };

  const draw = (place, theme, size = {}) => {
    const { light, dark: shaded } = figures[place.id];
    const { data, layout } = theme === "dark" ? shaded : light;
    place.dataset.drawn = theme;
    // Plotly writes into what it is given.
    return Plotly.react(
      place,
      structuredClone(data),
      { ...structuredClone(layout), ...size },
      config,
    );
  };
  const theme = () => (dark.matches ? "dark" : "light");
  const places = [...document.querySelectorAll(".drawing")];

  // A long report opens at once: a figure is drawn when it comes near.
  const near = new IntersectionObserver(
    (entries) => {
      for (const { isIntersecting, target } of entries) {
        if (!isIntersecting) continue;
        near.unobserve(target);
        draw(target, theme());
      }
    },
    { rootMargin: "100% 0px" },
  );
  places.forEach((place) => near.observe(place));

  dark.addEventListener("change", () => {
    places.filter((place) => place.dataset.drawn).forEach((place) => draw(place, theme()));
  });
  const tables = [...document.querySelectorAll("table")];
  addEventListener("beforeprint", () => {
    for (const table of tables) {
      table.style.width = "max-content";
      table.style.zoom = Math.min(1, PAPER / table.offsetWidth);
    }
    for (const place of places) {
      near.unobserve(place);
      draw(place, "light", { width: PAPER });
    }
  });
  addEventListener("afterprint", () => {
    tables.forEach((table) => table.removeAttribute("style"));
    // Plotly keeps the last width until it is told to look again.
    places.forEach((place) => draw(place, theme()).then(() => Plotly.Plots.resize(place)));
  });
}
