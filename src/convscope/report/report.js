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

  // A table that is wider than the page says how much of it lies to the right.
  const tell = (table) => {
    const box = table.parentElement;
    const edge = box.getBoundingClientRect().right;
    const outside = [...table.tHead.rows[0].cells].filter(
      (cell) => cell.getBoundingClientRect().right > edge + 2,
    ).length;
    const columns = outside === 1 ? "1 more column" : `${outside} more columns`;
    box.previousElementSibling.textContent = outside
      ? `${columns} to the right: scroll the table sideways →`
      : "";
    box.classList.toggle("more", outside > 0);
  };
  const resized = new ResizeObserver((entries) => {
    for (const { target } of entries) tell(target.firstElementChild);
  });
  for (const table of tables) {
    table.parentElement.addEventListener("scroll", () => tell(table), { passive: true });
    resized.observe(table.parentElement);
  }

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
