// The page: the input and steps that both settings share, and the keys.

// Milliseconds per step, and the most for a whole output.
const PACE = { slow: [1200, 90_000], normal: [450, 24_000], fast: [120, 6_000] };

// Returns a radio button with a thumbnail; the label may be a class's name, so it is never HTML.
function choice(name, value, label, checked) {
  const parts = document.createElement("label");
  parts.className = "choice";
  parts.title = label;
  parts.innerHTML = value === ""
    ? '<input type="radio"><span class="numbers-choice" aria-hidden="true">0 1 2<br>3 4 5</span>'
    : '<input type="radio"><canvas aria-hidden="true"></canvas>';
  const input = parts.querySelector("input");
  Object.assign(input, { name, value, checked });
  input.setAttribute("aria-label", label);
  return parts;
}

function choices(parts) {
  const box = document.createElement("div");
  box.className = "choices";
  box.append(...parts);
  return box;
}

class Page {
  constructor(content) {
    const byId = (id) => document.getElementById(id);
    this.at = Object.fromEntries(["size", "compare", "inputs", "filters", "panes", "play", "step",
      "step-text", "speed", "reads", "shift-text", "answer-text", "effective", "effective-text", "source-text", "size-apart", "size-apart-label", "main", "title", "about"].map((id) => [id, byId(id)]));
    this.largest = content.largest;
    this.trained = decodeTrained(content.trained);
    this.size = content.input;
    this.sizeApart = content.input[0] !== content.input[1];
    this.image = this.trained ? 0 : null; // index of the test image; null for the numbers
    this.filter = this.trained ? edgeFilter(this.trained.filters, this.trained.kernel) : 0;
    this.compare = content.compare;
    this.reads = false; // whether the input shows how often each pixel is read
    this.shift = [0, 0]; // pixels that the input is moved, [down, right]
    this.step = 0;
    this.playing = null;
    this.panes = content.panes.map((setting, index) =>
      new Pane(index, Object.fromEntries(FACTORS.map((factor) =>
        [factor.key, parseValue(factor, setting[factor.key])])), this));
    this.at.panes.append(...this.panes.map((pane) => pane.root));
    this.sizeField = new Field(this.at.size, { key: "size", names: [], label: "Input size", least: 1, sliderMost: 16,
      largest: this.largest, hint: "numbers 0, 1, 2, … row by row" }, (value) => this.setSize(value));
    if (this.trained) this.makePickers();
    this.listen();
    this.at.main.hidden = false;
    if (content.layer) this.introduce(content.layer);
    this.update();
    if (this.trained) this.go(this.steps() - 1);
  }

  // Names the layer of a network that the page shows.
  introduce({ name, about }) {
    document.title = `${name}: ${document.title.toLowerCase()}`;
    this.at.title.textContent = document.title;
    this.at.about.textContent = about;
    this.at.about.hidden = false;
  }

  // The input and weights that the panes show.
  source() {
    return this.isShifted() ? shiftedSource(this.unshifted(), this.shift) : this.unshifted();
  }

  unshifted() {
    return this.image === null ? countingInput(this.size) : this.trained.images[this.image];
  }

  isShifted() {
    return this.shift.some(Boolean);
  }

  weights(kernel) {
    return this.image === null ? onesKernel(kernel) : this.trained.filters[this.filter];
  }

  locked() {
    return this.image === null ? null : this.trained.kernel;
  }

  // Shifts the input, at most out of sight, and fills the output.
  setShift(shift) {
    const { size } = this.unshifted();
    this.shift = shift.map((pixels, axis) => Math.max(-size[axis], Math.min(size[axis], pixels)));
    this.step = Math.max(0, this.steps() - 1);
    this.update();
  }

  setSize(value) {
    this.size = value;
    if (value[0] !== value[1]) this.sizeApart = true;
    this.update();
  }

  shown() {
    return this.compare ? this.panes : this.panes.slice(0, 1);
  }

  steps() {
    return Math.max(0, ...this.shown().map((pane) => (pane.geometry?.possible ? pane.geometry.count : 0)));
  }

  // Updates the page after a change of a setting or of the input; a full output stays full.
  update() {
    const full = this.steps() > 0 && this.step === this.steps() - 1 && this.step > 0;
    this.pause();
    this.at.compare.checked = this.compare;
    this.at.panes.classList.toggle("two", this.compare);
    this.panes[1].root.hidden = !this.compare;
    this.shown().forEach((pane, index) =>
      pane.update(this.compare ? ["First setting", "Second setting"][index] : "Setting"));
    this.sizeField.show(this.size, this.size, this.sizeApart);
    this.at["size-apart"].checked = this.sizeApart;
    this.at.size.hidden = this.at["size-apart-label"].hidden = this.image !== null;
    this.at.filters.hidden = this.image === null;
    this.at.reads.checked = this.reads;
    this.at["shift-text"].textContent = shiftText(this.shift);
    document.querySelector("[data-shift=reset]").disabled = !this.isShifted();
    const answers = this.image === null ? null : this.trained.answers?.[this.image];
    this.at["answer-text"].hidden = !answers;
    this.at["answer-text"].textContent = answers ? answerText(answers, this.shift) : "";
    this.at["source-text"].textContent = this.sourceText();
    this.at.effective.hidden = this.image === null || !this.trained.effective;
    if (!this.at.effective.hidden) {
      this.at["effective-text"].textContent = effectiveText(this.trained.effective);
    }
    const last = Math.max(0, this.steps() - 1);
    this.step = full ? last : Math.min(this.step, last);
    this.draw();
  }

  sourceText() {
    if (this.image === null) return "The kernel’s weights are all 1, so that each output is the sum of its window.";
    const { name, dataset, mean, size, full_size, filters, filters_in_all } = this.trained;
    const cut = String(size) === String(full_size) ? "" : `, the middle of ${times(full_size)}`;
    const some = filters.length === filters_in_all ? "" : ` (the first ${filters.length} are here)`;
    return `Filter ${this.filter + 1} of ${filters_in_all}${some}, as trained in ${name}. ` +
      `${flatText(filters[this.filter], this.trained)} The test image is from ${dataset}, ` +
      `${times(size)}${cut}, normalised as in training: 0 is the mean of the training images` +
      (mean.length > 1
        ? " in each colour. The products of all colours add up to one output." : ".") +
      " Padding is 0 too: where the image has another value at its edge, padding shows as an edge.";
  }

  draw() {
    const fits = this.shown().map((pane) => pane.fit());
    const cell = Math.min(...fits.map((fit) => fit.cell));
    const side = fits.every((fit) => fit.side);
    this.shown().forEach((pane) => pane.draw(cell, side));
    if (!this.at.effective.hidden) {
      drawEffective(this.at.effective.querySelector("canvas"), this.unshifted(), this.trained.effective);
    }
    this.showStep();
  }

  drawFor(medium) {
    this.pause();
    document.documentElement.classList.toggle("printing", medium === "paper");
    this.drawPickers();
    this.draw();
  }

  showStep() {
    const steps = this.steps();
    this.shown().forEach((pane) => pane.showStep(this.step, !this.playing));
    this.at.step.max = Math.max(1, steps);
    this.at.step.value = this.step + 1;
    this.at["step-text"].textContent = steps ? `${this.step + 1} of ${steps}` : "no steps";
    this.at.step.setAttribute("aria-valuetext", this.at["step-text"].textContent);
    for (const control of document.querySelectorAll(".transport button, #step")) {
      control.disabled = steps === 0;
    }
  }

  go(step) {
    this.pause();
    this.moveTo(step);
  }

  moveTo(step) {
    this.step = Math.max(0, Math.min(step, this.steps() - 1));
    this.showStep();
  }

  toggle() {
    if (this.playing) this.go(this.step);
    else this.play();
  }

  play() {
    const steps = this.steps();
    if (!steps) return;
    if (this.step >= steps - 1) this.step = 0;
    const start = this.step;
    let began = null;
    const tick = (now) => {
      began ??= now;
      const [single, whole] = PACE[this.at.speed.value];
      const pace = Math.min(single, whole / steps);
      const step = start + Math.floor((now - began) / pace);
      if (step >= steps - 1) {
        this.go(steps - 1);
        return;
      }
      document.body.classList.toggle("fast", pace < 300);
      if (step !== this.step) this.moveTo(step);
      this.playing = requestAnimationFrame(tick);
    };
    this.playing = requestAnimationFrame(tick);
    this.at.play.textContent = "Pause";
    this.showStep();
  }

  pause() {
    if (this.playing) cancelAnimationFrame(this.playing);
    this.playing = null;
    this.at.play.textContent = "Play";
    document.body.classList.remove("fast");
  }

  listen() {
    const click = (id, act) => document.getElementById(id).addEventListener("click", act);
    click("first", () => this.go(0));
    click("back", () => this.go(this.step - 1));
    click("play", () => this.toggle());
    click("next", () => this.go(this.step + 1));
    click("last", () => this.go(this.steps() - 1));
    this.at.step.addEventListener("input", () => this.go(Number(this.at.step.value) - 1));
    this.at.speed.addEventListener("change", () => {
      if (!this.playing) return;
      this.pause();
      this.play();
    });
    this.at.compare.addEventListener("change", () => {
      this.compare = this.at.compare.checked;
      this.update();
    });
    this.at.reads.addEventListener("change", () => {
      this.reads = this.at.reads.checked;
      this.update();
    });
    for (const button of document.querySelectorAll("[data-shift]")) {
      button.addEventListener("click", () => {
        const moves = { left: [0, -1], right: [0, 1], up: [-1, 0], down: [1, 0] };
        const move = moves[button.dataset.shift];
        this.setShift(move ? this.shift.map((pixels, axis) => pixels + move[axis]) : [0, 0]);
      });
    }
    this.at["size-apart"].addEventListener("change", () => {
      this.sizeApart = this.at["size-apart"].checked;
      if (!this.sizeApart) this.size = [this.size[0], this.size[0]];
      this.update();
    });
    document.addEventListener("keydown", (event) => this.onKey(event));
    window.addEventListener("beforeprint", () => this.drawFor("paper"));
    window.addEventListener("afterprint", () => this.drawFor("screen"));
    new ResizeObserver(() => this.draw()).observe(this.at.panes);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.drawPickers();
      this.draw();
    });
  }

  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const takesSpace = "button, summary, a, select, input:not([type=range])";
    const takesArrows = "input, select, .scroll, .tables";
    if (event.key === " " && !event.target.closest(takesSpace)) {
      event.preventDefault();
      this.toggle();
    } else if (["ArrowRight", "ArrowLeft"].includes(event.key) && !event.target.closest(takesArrows)) {
      this.go(this.step + (event.key === "ArrowRight" ? 1 : -1));
    }
  }

  makePickers() {
    const { images, filters } = this.trained;
    this.at.inputs.append(choices([
      ...images.map(({ label }, at) => choice("input", at, `Test image: ${label}`, at === 0)),
      choice("input", "", "Numbers 0, 1, 2, … with a kernel of ones", false),
    ]));
    this.at.filters.append(choices(filters.map((_, at) =>
      choice("filter", at, `Filter ${at + 1}`, at === this.filter))));
    this.at.inputs.hidden = false;
    this.at.inputs.addEventListener("change", (event) => {
      this.image = event.target.value === "" ? null : Number(event.target.value);
      this.update();
    });
    this.at.filters.addEventListener("change", (event) => {
      this.filter = Number(event.target.value);
      this.update();
    });
    this.drawPickers();
  }

  drawPickers() {
    if (!this.trained) return;
    const { images, filters, kernel } = this.trained;
    this.at.inputs.querySelectorAll("canvas").forEach((canvas, at) => drawImage(canvas, images[at]));
    this.at.filters.querySelectorAll("canvas").forEach((canvas, at) =>
      drawFilter(canvas, filters[at], kernel));
  }
}

const page = new Page(CONTENT);

// Returns values of a pane as rows of `columns`; null if its setting is impossible.
function rowsOf(pane, values, columns) {
  if (!pane.geometry.possible) return null;
  return Array.from({ length: values.length / columns }, (_, row) =>
    Array.from(values.slice(row * columns, (row + 1) * columns)));
}

// For programs: the state, and as rows of a setting: its output in exact numbers, which outputs move
// with the shifted input, and how often each pixel of the input is read.
window.convscope = {
  state: () => ({
    step: page.step, steps: page.steps(), playing: page.playing !== null, compare: page.compare,
    reads: page.reads, shift: page.shift,
    image: page.image, filter: page.image === null ? null : page.filter, input: page.source().size,
    panes: page.shown().map((pane) => ({ ...pane.effective(), possible: pane.geometry.possible, index: pane.index })),
  }),
  output: (index) =>
    rowsOf(page.panes[index], page.panes[index].output, page.panes[index].geometry.axes[1].out),
  moved: (index) => page.panes[index].moved
    && rowsOf(page.panes[index], page.panes[index].moved.moved, page.panes[index].geometry.axes[1].out),
  reads: (index) =>
    rowsOf(page.panes[index], page.panes[index].reads, page.panes[index].geometry.axes[1].size),
};
