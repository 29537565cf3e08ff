// Draws grids on canvases. Colours come from the style sheet, which knows dark and light mode.

const NUMBERS_FROM = 20; // cell size, in pixels, from which its number is legible
const SMALLEST = 7.5; // smallest font size, in pixels
const LINES_FROM = 12; // cell size, in pixels, from which lines are drawn between cells
const READS_SHADE = 0.6; // share of the full shade that the most read pixel gets; numbers lie on it
const PRINTED_RATIO = 3; // printed dots per pixel
const EFFECTIVE_SIDE = 288; // pixels along the longer side of an effective receptive field
const FULL_SHADE = 0.97; // quantile of the outputs' sizes that gets the full shade

function colours() {
  const style = getComputedStyle(document.documentElement);
  const names = ["surface", "ink", "muted", "line", "padding", "padding-mark", "unused",
    "unused-mark", "skipped", "skipped-mark", "positive", "negative", "reads", "changed"];
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

// Returns whether the page is drawn for print: in light colours, at paper width and sharper.
const isPrinting = () => document.documentElement.classList.contains("printing");

// Sizes a canvas to rows x columns cells, sharp on any screen; returns its context in CSS pixels.
function prepare(canvas, rows, columns, cell) {
  const ratio = isPrinting() ? PRINTED_RATIO : window.devicePixelRatio || 1;
  canvas.width = Math.round(columns * cell * ratio);
  canvas.height = Math.round(rows * cell * ratio);
  canvas.style.width = `${columns * cell}px`;
  canvas.style.height = `${rows * cell}px`;
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.textAlign = "center";
  context.textBaseline = "middle";
  return context;
}

// Returns a pattern of the legend: rising lines (padding), falling lines (unused), dots (skipped).
function pattern(context, ground, mark, kind) {
  const side = kind === "dots" ? 6 : 8;
  const tile = document.createElement("canvas");
  tile.width = tile.height = 2 * side;
  const pen = tile.getContext("2d");
  pen.scale(2, 2);
  if (ground) {
    pen.fillStyle = ground;
    pen.fillRect(0, 0, side, side);
  }
  pen.fillStyle = pen.strokeStyle = mark;
  pen.beginPath();
  if (kind === "dots") {
    pen.arc(side / 2, side / 2, 1.2, 0, 7);
    pen.fill();
  } else {
    for (const shift of [-side, 0, side]) {
      pen.moveTo(shift - 1, kind === "rising" ? side + 1 : -1);
      pen.lineTo(shift + side + 1, kind === "rising" ? -1 : side + 1);
    }
    pen.stroke();
  }
  const made = context.createPattern(tile, "repeat");
  made.setTransform(new DOMMatrix().scale(0.5));
  return made;
}

function fontSize(cell, texts) {
  const longest = Math.max(1, ...texts.map((text) => text.length));
  return Math.min(0.42 * cell, 16, (0.86 * cell) / (0.58 * longest));
}

function write(context, text, x, y, size, colour) {
  if (size < SMALLEST) return;
  context.font = `${size}px system-ui, sans-serif`;
  context.fillStyle = colour;
  context.fillText(text, x, y);
}

// Writes text with a border in the ground's colour, so that it is legible on a pattern.
function writeOver(context, text, x, y, size, colour, ground) {
  context.strokeStyle = ground;
  context.lineWidth = 3;
  context.lineJoin = "round";
  context.font = `${size}px system-ui, sans-serif`;
  if (size >= SMALLEST) context.strokeText(text, x, y);
  write(context, text, x, y, size, colour);
}

function outline(context, x, y, cell, colour) {
  if (cell < LINES_FROM) return;
  context.strokeStyle = colour;
  context.lineWidth = 1;
  context.strokeRect(x + 0.5, y + 0.5, cell - 1, cell - 1);
}

// Draws the padded input. extent: [rows, columns] of the drawing; larger than the padded input
// if the kernel is; reads: how often each pixel is read, if that is drawn in place of its value.
function drawInput(canvas, geometry, source, cell, extent, reads) {
  const context = prepare(canvas, extent[0], extent[1], cell);
  const paint = colours();
  const washes = {
    unused: pattern(context, null, paint["unused-mark"], "falling"),
    skipped: pattern(context, null, paint["skipped-mark"], "dots"),
  };
  const padding = pattern(context, paint.padding, paint["padding-mark"], "rising");
  const [vertical, horizontal] = geometry.axes;
  const pixels = source.channels[0];
  const size = fontSize(cell, [String(Math.max(...(reads ?? (source.colour ? [] : pixels))))]);
  const most = reads && Math.max(1, ...reads);
  vertical.positions.forEach((row, i) => horizontal.positions.forEach((column, j) => {
    const [x, y] = [j * cell, i * cell];
    const outside = row.padding || column.padding;
    const isZero = row.pixel === null || column.pixel === null;
    const at = row.pixel * horizontal.size + column.pixel;
    const kind = [row.kind, column.kind].includes("unused") ? "unused"
      : [row.kind, column.kind].includes("skipped") ? "skipped" : "covered";
    const count = reads && !outside ? reads[at] : 0;
    const left = geometry.possible && kind !== "covered" && !count;
    context.fillStyle = outside ? padding
      : count ? mixed(paint.surface, paint.reads, (READS_SHADE * count) / most)
        : source.colour ? source.colour(at) : paint.surface;
    context.fillRect(x, y, cell, cell);
    if (left) {
      context.globalAlpha = source.colour ? 0.55 : 1;
      if (!outside) {
        context.fillStyle = paint[kind];
        context.fillRect(x, y, cell, cell);
      }
      context.globalAlpha = 1;
      context.fillStyle = washes[kind];
      context.fillRect(x, y, cell, cell);
    }
    if (!source.colour || outside || left || reads) outline(context, x, y, cell, paint.line);
    if ((reads ? !outside : !source.colour) && cell >= NUMBERS_FROM) {
      const middle = [x + cell / 2, y + cell / 2 + 0.5, size];
      const text = reads ? String(count) : isZero ? "0" : String(pixels[at]);
      if (outside || left) writeOver(context, text, ...middle, paint.muted, left ? paint[kind] : paint.padding);
      else write(context, text, ...middle, paint.ink);
    }
  }));
}

function mixed(from, to, share) {
  const part = (text, at) => parseInt(text.slice(at, at + 2), 16);
  const channel = (at) => Math.round(part(from, at) + (part(to, at) - part(from, at)) * share);
  return `rgb(${channel(1)},${channel(3)},${channel(5)})`;
}

// Draws the first `filled` values of the output, row by row; the other cells stay empty. Numbers are
// written where they fit, except on an image's feature map, where they would hide the shades.
// What does not move with a shifted input is hatched.
function drawOutput(canvas, { geometry, source, output, moved }, filled, cell) {
  const [rows, columns] = geometry.axes.map((axis) => axis.out);
  const context = prepare(canvas, rows, columns, cell);
  const paint = colours();
  const sizes = Float64Array.from(output, Math.abs).sort();
  const largest = sizes[Math.ceil(FULL_SHADE * sizes.length) - 1] || 1;
  const texts = cell >= NUMBERS_FROM && !source.colour ? Array.from(output, shortNumber) : [];
  const size = fontSize(cell, texts);
  const strongest = texts.length && size >= SMALLEST ? 0.4 : 1;
  const changed = moved && pattern(context, null, paint.changed, "falling");
  for (let index = 0; index < geometry.count; index++) {
    const [x, y] = [(index % columns) * cell, Math.floor(index / columns) * cell];
    if (index < filled) {
      const value = output[index];
      const colour = value < 0 ? paint.negative : paint.positive;
      const share = strongest * Math.min(1, Math.abs(value) / largest);
      context.fillStyle = mixed(paint.surface, colour, share);
      context.fillRect(x, y, cell, cell);
      const middle = [x + cell / 2, y + cell / 2 + 0.5, size];
      const ground = context.fillStyle;
      const hatched = moved && !moved.moved[index];
      if (hatched) {
        context.fillStyle = changed;
        context.fillRect(x, y, cell, cell);
      }
      if (texts.length && hatched) writeOver(context, texts[index], ...middle, paint.ink, ground);
      else if (texts.length) write(context, texts[index], ...middle, paint.ink);
    }
    if (!source.colour || index >= filled) outline(context, x, y, cell, paint.line);
  }
}

// Draws a thumbnail of height x width pixels, shown at most `most` pixels high and wide.
function thumbnail(canvas, [height, width], most, colour) {
  const scale = most / Math.max(height, width);
  const cell = scale < 1 ? scale : Math.floor(scale);
  [canvas.width, canvas.height] = [width, height];
  canvas.style.width = `${Math.max(1, width * cell)}px`;
  canvas.style.height = `${Math.max(1, height * cell)}px`;
  canvas.style.imageRendering = scale < 1 ? "auto" : "pixelated";
  const context = canvas.getContext("2d");
  for (let at = 0; at < height * width; at++) {
    context.fillStyle = colour(at);
    context.fillRect(at % width, Math.floor(at / width), 1, 1);
  }
}

// Draws a filter: one channel coloured by sign, three channels as a colour picture around grey.
function drawFilter(canvas, filter, size) {
  const paint = colours();
  const largest = Math.max(...filter.map((channel) => Math.max(...channel.map(Math.abs)))) || 1;
  thumbnail(canvas, size, 36, (at) => {
    const shares = filter.map((channel) => channel[at] / largest);
    if (shares.length === COLOURS.length) {
      return `rgb(${shares.map((share) => Math.round(127.5 * (1 + share))).join(",")})`;
    }
    const share = addUp(shares) / shares.length;
    return mixed(paint.surface, share < 0 ? paint.negative : paint.positive, Math.abs(share));
  });
}

function drawImage(canvas, source) {
  thumbnail(canvas, source.size, 44, source.colour);
}

// Draws what each pixel contributes to the last map over a faint image, with the edges of the
// theoretical receptive field and of the square with half of all contributions.
function drawEffective(canvas, { size: [height, width], colour }, { contributions, field, square }) {
  const cell = Math.max(1, Math.floor(EFFECTIVE_SIDE / Math.max(height, width)));
  const context = prepare(canvas, height, width, cell);
  const paint = colours();
  context.fillStyle = paint.surface;
  context.fillRect(0, 0, width * cell, height * cell);
  contributions.forEach((shade, at) => {
    const pixel = [(at % width) * cell, Math.floor(at / width) * cell, cell, cell];
    context.globalAlpha = 0.18;
    context.fillStyle = colour(at);
    context.fillRect(...pixel);
    context.globalAlpha = (0.9 * shade) / 255;
    context.fillStyle = paint.positive;
    context.fillRect(...pixel);
  });
  context.globalAlpha = 1;
  for (const [[[top, left], [bottom, right]], dash] of [[field, [6, 4]], [square, []]]) {
    // Half a line is cut off at the edge.
    const clip = (edge, pixels) => Math.max(1, Math.min(pixels * cell - 1, edge * cell));
    const [x, y] = [clip(left, width), clip(top, height)];
    context.strokeStyle = paint.ink;
    context.lineWidth = 2;
    context.setLineDash(dash);
    context.strokeRect(x, y, clip(right, width) - x, clip(bottom, height) - y);
  }
  context.setLineDash([]);
}
