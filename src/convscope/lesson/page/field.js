// The input field of one value of a setting: typed as "3" or "3x5", set by slider or chosen by name.

let fieldCount = 0;

class Field {
  // options: key, label, hint, least (null where no pixels are accepted), sliderMost, largest, names
  constructor(parent, options, onChange) {
    this.options = options;
    this.onChange = onChange;
    const id = `field${++fieldCount}`;
    const { label, hint, least, names } = options;
    const slider = (axis) => `<label class="slide"><span aria-hidden="true">${axis}</span>
      <input type="range" min="${least}" step="1" aria-label="${label}, ${axis}"></label>`;
    parent.innerHTML = `
      <div class="line">
        <label class="label" for="${id}">${label}</label>
        <input type="text" class="typed" id="${id}" autocomplete="off" autocapitalize="off"
          spellcheck="false" size="6" aria-describedby="${id}-hint ${id}-error">
      </div>
      ${slider("height")}${slider("width")}
      ${names.length ? `<div class="names" role="group" aria-label="${label} by name">${names.map((name) =>
        `<button type="button" data-name="${name}" aria-pressed="false">${name}</button>`).join("")}
      </div>` : ""}
      <p class="hint" id="${id}-hint">${hint}</p>
      <p class="error" id="${id}-error" role="alert" hidden></p>`;
    this.typed = parent.querySelector(".typed");
    this.error = parent.querySelector(".error");
    this.hint = parent.querySelector(".hint");
    this.slides = [...parent.querySelectorAll(".slide")];
    this.sliders = this.slides.map((slide) => slide.querySelector("input"));
    this.buttons = [...parent.querySelectorAll("[data-name]")];
    this.listen();
  }

  listen() {
    this.typed.addEventListener("input", () => this.take(false));
    this.typed.addEventListener("change", () => this.take(true));
    this.sliders.forEach((slider, axis) => slider.addEventListener("input", () => {
      const pixels = Number(slider.value);
      this.accept(this.apart ? this.pixels.with(axis, pixels) : [pixels, pixels]);
    }));
    this.buttons.forEach((button) =>
      button.addEventListener("click", () => this.accept(button.dataset.name)));
  }

  // Accepts the typed text; while the user is typing, text that is not a value is no error.
  take(finished) {
    const text = this.typed.value.trim().toLowerCase();
    const problem = this.problemWith(text);
    if (!problem) {
      const value = parseValue(this.options, text);
      // On leaving the field without a change nothing is redrawn: a button that is being clicked
      // must not move.
      if (String(value) !== String(this.value)) this.accept(value);
      this.showError("");
      if (finished) this.typed.value = this.text;
    } else if (finished) {
      this.showError(`${problem} Still shown: ${this.text}.`);
    }
  }

  problemWith(text) {
    const { label, least, largest } = this.options;
    const value = parseValue(this.options, text);
    const got = `got ${text || "nothing"}.`;
    if (value === null) return `${label} must be ${this.rule()}, ${got}`;
    if (!Array.isArray(value) && !value.includes("+")) return null;
    const pair = Array.isArray(value) ? value : value.split(/[+x]/).map(Number);
    if (Math.min(...pair) < least) return `${label} must be at least ${least}, ${got}`;
    if (Math.max(...pair) > largest) return `${label} must be at most ${largest} here, ${got}`;
    return null;
  }

  rule() {
    const { key, least, names } = this.options;
    const pixels = least === null ? []
      : key === "padding" ? ["an integer", "height x width such as 1x2", "before+after such as 0+1"]
        : ["an integer or height x width such as 3x5"];
    const parts = [...pixels, ...names];
    return parts.length < 2 ? parts[0] : `${parts.slice(0, -1).join(", ")} or ${parts.at(-1)}`;
  }

  accept(value) {
    this.showError("");
    this.onChange(value);
  }

  showError(text) {
    this.error.textContent = text;
    this.error.hidden = !text;
    this.typed.setAttribute("aria-invalid", String(Boolean(text)));
  }

  // value: a pair or a name; pixels: the pair it stands for; apart: whether each axis has a slider
  show(value, pixels, apart, locked = false) {
    const { sliderMost } = this.options;
    this.value = value;
    this.pixels = pixels;
    this.apart = apart;
    this.text = valueText(value);
    if (document.activeElement !== this.typed) {
      this.typed.value = this.text;
      this.showError("");
    }
    this.typed.disabled = locked;
    this.slides[0].firstElementChild.hidden = !apart;
    this.slides[0].hidden = this.options.least === null;
    this.slides[1].hidden = !apart || this.options.least === null;
    this.sliders.forEach((slider, axis) => {
      slider.max = Math.max(sliderMost, ...pixels);
      slider.value = pixels[axis];
      slider.disabled = locked;
      slider.setAttribute("aria-label",
        `${this.options.label}, ${apart ? ["height", "width"][axis] : "height and width"}`);
    });
    this.buttons.forEach((button) =>
      button.setAttribute("aria-pressed", String(button.dataset.name === value)));
  }
}
