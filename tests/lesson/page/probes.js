// focused: what has the focus, by the name it is read out with, and whether one sees that it has it
() => {
  const at = document.activeElement;
  if (at === document.body) return null;
  const style = getComputedStyle(at);
  const name = at.ariaLabel ?? at.labels?.[0]?.innerText ?? at.innerText;
  const visible = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
  return { name: name.split("\n")[0].trim(), visible };
}
// nameless: controls that a screen reader would have no name for
() => [...document.querySelectorAll("input, select, button, [tabindex], summary")]
  .filter((at) => at.checkVisibility())
  .filter((at) => !(at.ariaLabel || at.labels?.[0]?.innerText || at.innerText)?.trim())
  .map((at) => at.outerHTML)
// misplaced: what lies outside the page's width, is cut off, or lies on other text
() => {
  const faults = [];
  const told = (at) => `${at.className || at.tagName} ${at.innerText ?? ""}`.slice(0, 60);
  if (document.documentElement.scrollWidth > innerWidth) faults.push("the page scrolls sideways");
  const boxes = [...document.querySelectorAll("header *, main *")]
    .filter((at) => at.checkVisibility() && !at.closest(".scroll, .tables, svg"))
    .map((at) => [at, at.getBoundingClientRect()]);
  const words = "button, figcaption, p, h1, h2, h3, label, li, dt, dd, summary";
  for (const [at, box] of boxes) {
    if (box.left < -0.5 || box.right > innerWidth + 0.5) faults.push(`outside: ${told(at)}`);
    const cut = at.matches(words) && at.scrollWidth > at.clientWidth + 1;
    if (cut && getComputedStyle(at).display !== "inline") faults.push(`cut off: ${told(at)}`);
  }
  // The bar with Play sticks to the window's lower edge, over whatever is there.
  const solid = boxes.filter(([at]) => !at.closest(".transport")
    && at.matches(`${words}, .typed, canvas, input[type=range]`));
  solid.forEach(([a, one], index) => solid.slice(index + 1).forEach(([b, other]) => {
    const across = Math.min(one.right, other.right) - Math.max(one.left, other.left);
    const down = Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top);
    if (across > 1 && down > 1 && !a.contains(b) && !b.contains(a)) {
      faults.push(`${told(a)} lies on ${told(b)}`);
    }
  }));
  return faults;
}
// unreachable: controls that the pointer cannot press, because something else lies on them
() => [...document.querySelectorAll("main button, main input, main select, main summary")]
  .filter((at) => at.checkVisibility() && !at.disabled)
  .filter((at) => {
    at.scrollIntoView({ block: "center", behavior: "instant" });
    const box = at.getBoundingClientRect();
    const hit = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
    return !at.contains(hit) && hit !== at.labels?.[0];
  })
  .map((at) => at.outerHTML)
// set: the same input for both settings, and a setting for each, as if they had been typed
([size, kernel, stride, padding, compare]) => {
  page.size = [size, size];
  page.compare = compare;
  page.panes.forEach((pane, index) => Object.assign(pane.setting, {
    kernel_size: [kernel, kernel],
    stride: [stride + index, stride],
    padding: typeof padding === "string" ? padding : [padding, padding],
  }));
  page.update();
}
// faint: texts whose contrast with their ground is below 4.5, by WCAG 2
() => {
  const parts = (colour) => colour.match(/[\d.]+/g).map(Number);
  const light = (colour) => colour.slice(0, 3)
    .map((part) => part / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
  const ground = (at) => {
    const colour = parts(getComputedStyle(at).backgroundColor);
    return colour.length === 3 || colour[3] > 0 ? colour : ground(at.parentElement);
  };
  const contrast = (at) => {
    const two = [light(parts(getComputedStyle(at).color)), light(ground(at))];
    return (Math.max(...two) + 0.05) / (Math.min(...two) + 0.05);
  };
  return [...document.querySelectorAll("body *")]
    .filter((at) => at.checkVisibility() && !at.matches(":disabled, option"))
    .filter((at) => [...at.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
    .map((at) => [contrast(at), at.innerText.slice(0, 40)])
    .filter(([value]) => value < 4.5);
}
// shades: the mean colour of the upper left of cells [row, column], of a grid 8 cells high
(canvas, cells) => {
  const side = canvas.height / 8;
  const copy = new OffscreenCanvas(canvas.width, canvas.height);
  const pen = copy.getContext("2d", { willReadFrequently: true });
  pen.drawImage(canvas, 0, 0);
  return cells.map(([row, column]) => {
    const place = [column * side + 3, row * side + 3, side / 2 - 3, side / 4];
    const { data } = pen.getImageData(...place.map(Math.round));
    const channel = (at) => data.filter((_, index) => index % 4 === at);
    return [0, 1, 2].map((at) => channel(at).reduce((sum, value) => sum + value, 0) / (data.length / 4));
  });
}
