// A setting: its controls, the window on the padded input, the output, and the numbers.

const GAP = 28; // pixels between input and output, side by side
const CAPTION = 100; // width in pixels of a small output's caption, which is wider than the output
const HIGHEST = 440; // maximum height of a grid in pixels
const PAPER = 640; // width in pixels of both grids in print; fits A4 and Letter in portrait
const WIDEST_TABLE = 11; // maximum number of columns and rows of the table of products
const WIDEST_PRINTED = 12; // maximum number of columns of a table of all outputs in print
const DETAILED_TABLE = 5; // maximum number of columns to show the factors of each product

// Makes an element focusable by keyboard only if it scrolls.
function scrollable(element, label) {
  const scrolls = element.scrollWidth > element.clientWidth;
  for (const [name, value] of [["tabindex", "0"], ["role", "group"], ["aria-label", label]]) {
    if (scrolls) element.setAttribute(name, value);
    else element.removeAttribute(name);
  }
}

class Pane {
  // setting: a value for each factor; app: source(), unshifted(), isShifted(), shift, reads,
  // weights(kernel), locked(), go(step), update()
  constructor(index, setting, app) {
    this.app = app;
    this.setting = setting;
    this.apart = Object.values(setting).some(
      (value) => Array.isArray(value) && value[0] !== value[1]);
    this.root = document.getElementById("pane").content.firstElementChild.cloneNode(true);
    this.root.id = `pane${index + 1}`;
    this.find = (selector) => this.root.querySelector(selector);
    this.find("h2").id = `${this.root.id}-title`;
    this.root.setAttribute("aria-labelledby", `${this.root.id}-title`);
    this.inputGrid = this.find(".input .grid");
    this.makeFields();
    this.find(".apart input").addEventListener("change", (event) => this.setApart(event.target.checked));
    this.find(".values").addEventListener("toggle", () => this.showValues());
    const go = (index) => app.go(index);
    moveByPointer(this, this.inputGrid, true, go);
    moveByPointer(this, this.find(".output .grid"), false, go);
    moveByKey(this, this.inputGrid, go);
  }

  makeFields() {
    const { largest } = this.app;
    this.fields = Object.fromEntries(FACTORS.map((factor) => {
      const parent = document.createElement("div");
      parent.className = "field";
      parent.classList.toggle("wide", factor.names.length > 0);
      this.find(".controls .apart").before(parent);
      const label = factor.title[0].toUpperCase() + factor.title.slice(1);
      const options = { ...factor, label, largest, sliderMost: factor.key === "kernel_size" ? 11 : 8 };
      return [factor.key, new Field(parent, options, (value) => this.set({ [factor.key]: value }))];
    }));
  }

  set(change) {
    Object.assign(this.setting, change);
    const typed = Object.values(change).filter(Array.isArray);
    if (typed.some(([height, width]) => height !== width)) this.apart = true;
    this.app.update();
  }

  setApart(apart) {
    this.apart = apart;
    if (!apart) {
      for (const [name, value] of Object.entries(this.effective())) {
        if (Array.isArray(value) && !(name === "kernel_size" && this.app.locked())) {
          this.setting[name] = [value[0], value[0]];
        }
      }
    }
    this.app.update();
  }

  // Returns the setting, with the kernel size of the chosen trained filter, if any.
  effective() {
    return { ...this.setting, kernel_size: this.app.locked() ?? this.setting.kernel_size };
  }

  // Computes and shows everything that depends on setting and input, except the drawings: see draw().
  update(name) {
    const setting = this.effective();
    this.source = this.app.source();
    this.geometry = geometryOf(setting, this.source.size);
    this.weights = this.app.weights(setting.kernel_size);
    const { geometry } = this;
    const convolved = ({ channels }) => convolve(geometry, channels, this.weights);
    this.output = geometry.possible ? convolved(this.source) : new Float64Array(0);
    this.reads = geometry.possible ? readsOf(geometry) : null;
    this.moved = geometry.possible && this.app.isShifted()
      ? movedOutputs(geometry, this.output, convolved(this.app.unshifted()), this.app.shift) : null;
    this.find(".name").textContent = name;
    this.find(".whose").textContent = name;
    this.find(".variant").textContent = variantLabel(setting, geometry);
    this.inputGrid.setAttribute("aria-label", `Window on the input, ${name.toLowerCase()}`);
    this.find(".call code").textContent = pytorchCall(setting, geometry, this.source.channels.length);
    this.showFields(setting);
    this.showImpossible();
    this.find(".numbers").innerHTML = formulaLines(geometry);
    this.find(".floor").classList.toggle("uneven", isUneven(geometry));
    this.find(".floor").textContent = floorText(geometry);
    this.showLegend();
    this.showText(".reads-text", this.app.reads && this.reads && readsText(geometry, this.reads));
    this.showText(".moved-text", this.moved && movedText(geometry, this.moved));
    this.showValues();
  }

  showText(selector, text) {
    this.find(selector).hidden = !text;
    this.find(selector).textContent = text || "";
  }

  showFields(setting) {
    const { axes } = this.geometry;
    this.find(".apart input").checked = this.apart;
    for (const { key, hint } of FACTORS) {
      const value = setting[key];
      const locked = key === "kernel_size" && Boolean(this.app.locked());
      // The sliders of a named padding show its pixels.
      const pixels = Array.isArray(value) ? value : axes.map((axis) => axis.before);
      this.fields[key].show(value, pixels, this.apart, locked);
      this.fields[key].hint.textContent = locked ? "given by the trained filter" : hint;
    }
  }

  showImpossible() {
    const { geometry } = this;
    const box = this.find(".impossible");
    box.hidden = geometry.possible;
    this.find(".status").hidden = !geometry.possible;
    for (const selector of [".output", ".products", ".values"]) {
      this.find(selector).hidden = !geometry.possible;
    }
    if (geometry.possible) return;
    const { reason, fixes } = geometry.refusal;
    box.querySelector("span").textContent = reason;
    const free = fixes.filter(([, change]) => !("kernel_size" in change && this.app.locked()));
    box.querySelector(".fixes").replaceChildren(...free.map(([text, change]) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = text;
      button.addEventListener("click", () => {
        this.set(change);
        this.inputGrid.focus({ preventScroll: true });
      });
      return button;
    }));
  }

  showLegend() {
    const items = legendItems(this.geometry, this.output, this.app.reads && this.reads, this.moved);
    this.find(".legend").innerHTML = items.map(([kind, name, text, share = 1]) =>
      `<li><span class="swatch ${kind}" style="--share: ${100 * share}%"></span>` +
      `<span>${name}${text && ": "}<b>${text}</b></span></li>`).join("");
  }

  // Returns rows and columns of the input's drawing: the kernel may be larger than the padded input.
  extent() {
    return this.geometry.axes.map((axis) => Math.max(axis.padded, this.geometry.possible ? 0 : axis.extent));
  }

  // Returns the size of the output's cells relative to the input's. For an image it is the stride,
  // so that both pictures have the same scale.
  enlarged() {
    return this.source.colour ? Math.min(...this.geometry.axes.map((axis) => axis.stride)) : 1;
  }

  // Returns the cell size that fits, in pixels, and whether input and output are side by side.
  fit() {
    const width = isPrinting() ? PAPER : this.find(".stage").clientWidth;
    const [rows, columns] = this.extent();
    const outputColumns = this.geometry.possible ? this.geometry.axes[1].out * this.enlarged() : 0;
    const beside = Math.min((width - GAP) / (columns + outputColumns),
      (width - GAP - CAPTION) / columns);
    const side = width >= 480 || (width >= 330 && beside >= 26 && this.geometry.possible);
    const cell = Math.min(side ? beside : width / columns, HIGHEST / rows, 46);
    return { cell: cell < 1 ? cell : Math.floor(cell), side };
  }

  draw(cell, side) {
    const { geometry } = this;
    const { axes } = geometry;
    this.cell = cell;
    this.unit = cell * this.enlarged();
    const size = axes.map((axis) => axis.size);
    const padded = axes.map((axis) => axis.padded);
    this.find(".stage").classList.toggle("side", side);
    this.find(".input figcaption").innerHTML = `<b>Input</b> ${times(size)}` +
      (String(size) === String(padded) ? "" : `, padded ${times(padded)}`);
    this.find(".output figcaption").innerHTML = `<b>Output</b> ${times(axes.map((axis) => axis.out))}` +
      (this.unit === cell ? "" : `, drawn ${this.enlarged()}× larger`);
    drawInput(this.find(".input canvas"), geometry, this.source, cell, this.extent(),
      this.app.reads ? this.reads : null);
    const frame = this.find(".input .window");
    frame.style.width = `${axes[1].extent * cell}px`;
    frame.style.height = `${axes[0].extent * cell}px`;
    frame.classList.toggle("misfit", !geometry.possible);
    // A dilated window has a dot on each pixel that it covers.
    frame.classList.toggle("dilated", axes.some((axis) => axis.dilation > 1));
    frame.style.setProperty("--cell", `${cell}px`);
    frame.style.backgroundSize = `${axes[1].dilation * cell}px ${axes[0].dilation * cell}px`;
    frame.hidden = geometry.refused;
    const unit = this.find(".output .window");
    unit.style.width = unit.style.height = `${this.unit}px`;
  }

  // Shows the window after `step` steps; a setting with fewer steps stays at its last one.
  showStep(step, spoken) {
    const { geometry } = this;
    const { count } = geometry;
    this.inputGrid.setAttribute("aria-disabled", String(!geometry.possible));
    this.find(".status").setAttribute("aria-live", spoken ? "polite" : "off");
    if (!geometry.possible) {
      this.index = 0;
      this.find(".input .window").style.transform = "";
      for (const [name, value] of [["valuemin", 0], ["valuemax", 0], ["valuenow", 0]]) {
        this.inputGrid.setAttribute(`aria-${name}`, value);
      }
      this.inputGrid.setAttribute("aria-valuetext", "impossible");
      return;
    }
    const index = Math.min(step, count - 1);
    this.index = index;
    const [vertical, horizontal] = geometry.axes;
    const [row, column] = [Math.floor(index / horizontal.out), index % horizontal.out];
    const move = (x, y, cell) => `translate(${x * cell}px, ${y * cell}px)`;
    this.find(".input .window").style.transform =
      move(column * horizontal.stride, row * vertical.stride, this.cell);
    this.find(".output .window").style.transform = move(column, row, this.unit);
    drawOutput(this.find(".output canvas"), this, index + 1, this.unit);
    const position = `row ${row + 1}, column ${column + 1}`;
    const value = shortNumber(this.output[index]);
    const done = step > count - 1 ? "Finished. " : "";
    this.find(".status").innerHTML =
      `${done}Step ${index + 1} of ${count}: output ${position} is <b>${value}</b>.`;
    for (const [name, text] of [["valuemin", 1], ["valuemax", count], ["valuenow", index + 1],
      ["valuetext", position]]) this.inputGrid.setAttribute(`aria-${name}`, text);
    this.showProducts();
  }

  showProducts() {
    const tables = productsAt(this.geometry, this.source.channels, this.weights, this.index);
    const [height, width] = [tables[0].length, tables[0][0].length];
    const names = tables.length === COLOURS.length ? COLOURS : [];
    const fits = height <= WIDEST_TABLE && width <= WIDEST_TABLE;
    const cell = ({ value, weight, product, padding }) =>
      `<td${padding ? ' class="padding"' : ""}><b>${shortNumber(product)}</b>` +
      (width <= DETAILED_TABLE
        ? `<small>${shortNumber(value)} <span>× ${shortNumber(weight)}</span></small>` : "") + "</td>";
    this.find(".tables").hidden = !fits;
    this.find(".tables").innerHTML = !fits ? "" : tables.map((rows, channel) =>
      `<table>${names.length ? `<caption>${names[channel]}</caption>` : ""}<tbody>${rows.map((row) =>
        `<tr>${row.map(cell).join("")}</tr>`).join("")}</tbody></table>`).join("");
    this.find(".sum").innerHTML = sumText(tables, names, this.output[this.index]);
    scrollable(this.find(".tables"), "Products");
  }

  // Shows all outputs as a table, which is built only when it is opened.
  showValues() {
    const details = this.find(".values");
    if (!details.open || !this.geometry.possible) return;
    const columns = this.geometry.axes[1].out;
    details.classList.toggle("wide", columns > WIDEST_PRINTED);
    const text = (value) => (Number.isInteger(value) ? shortNumber(value)
      : value.toFixed(4).replace("-", "−"));
    const rows = Array.from({ length: this.geometry.axes[0].out }, (_, row) =>
      `<tr>${Array.from(this.output.subarray(row * columns, (row + 1) * columns), (value) =>
        `<td><data value="${value}">${text(value)}</data></td>`).join("")}</tr>`);
    details.querySelector(".scroll").innerHTML = `<table><tbody>${rows.join("")}</tbody></table>`;
  }
}
