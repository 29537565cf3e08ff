// Convolution arithmetic along one axis and over a whole input, without page and state.
// The same rules as in convscope.geometry; a pair is [height, width], sides are [before, after].

// The arguments of a convolution: convscope.geometry.FACTORS.
const FACTORS = CONTENT.factors;

const pairText = ([height, width]) => (height === width ? `${height}` : `${height}x${width}`);

// Parses text such as "3" or "3x5" to a pair; null for other text.
function parsePair(text) {
  const match = /^(-?(?:0|[1-9]\d*))(?:\s*[x×]\s*(-?(?:0|[1-9]\d*)))?$/.exec(text.trim());
  return match ? [Number(match[1]), Number(match[2] ?? match[1])] : null;
}

// Parses the text typed for a factor: a pair of pixels or a name; null for other text.
function parseValue({ key, least, names }, text) {
  if (names.includes(text)) return text;
  if (key === "padding" && /^\d+\+\d+(x\d+\+\d+)?$/.test(text)) return text;
  return least === null ? null : parsePair(text);
}

const valueText = (value) => (Array.isArray(value) ? pairText(value) : value);

// Returns the padding in pixels: [[top, bottom], [left, right]]. "same" and "same_tf" put an odd
// pixel after.
function sidesOf(setting, size) {
  const { padding } = setting;
  if (Array.isArray(padding)) return padding.map((pixels) => [pixels, pixels]);
  if (padding.includes("+")) {
    const [rows, columns] = padding.split("x").map((sides) => sides.split("+").map(Number));
    return [rows, columns ?? rows];
  }
  return [0, 1].map((axis) => {
    const { extent, stride } = windowOf(setting, axis);
    const odd = { same: extent - 1, same_tf: Math.max(0, extent - 1 - ((size[axis] - 1) % stride)) }[padding];
    if (odd !== undefined) return [Math.floor(odd / 2), Math.ceil(odd / 2)];
    const pixels = { valid: 0, half: Math.floor(extent / 2), full: extent - 1 }[padding];
    return [pixels, pixels];
  });
}

// Returns the window along one axis: its size, its step, and the positions it covers ("taps").
function windowOf(setting, axis) {
  const [kernel, stride, dilation] =
    [setting.kernel_size, setting.stride, setting.dilation].map((pair) => pair[axis]);
  const taps = Array.from({ length: kernel }, (_, tap) => tap * dilation);
  return { kernel, stride, dilation, extent: dilation * (kernel - 1) + 1, taps };
}

// Returns the input pixel whose value a padding position has; null for zeros.
function paddingPixel(mode, position, size) {
  if (mode === "reflect") return position < 0 ? -position : 2 * (size - 1) - position;
  if (mode === "replicate") return position < 0 ? 0 : size - 1;
  return mode === "circular" ? ((position % size) + size) % size : null;
}

// Returns sizes along one axis, and for each position of the padded input: the "pixel" whose value
// it has, null for zeros; whether it is "padding"; and its kind: "covered" by a window, "skipped"
// (between covered positions) or "unused" (after the last window).
function axisGeometry(size, setting, axis, [before, after]) {
  const window = windowOf(setting, axis);
  const padded = before + size + after;
  const room = padded - window.extent;
  const out = room < 0 ? 0 : Math.floor(room / window.stride) + 1;
  const end = out === 0 ? 0 : (out - 1) * window.stride + window.extent;
  const covered = new Set();
  for (let at = 0; at < out; at++) window.taps.forEach((tap) => covered.add(at * window.stride + tap));
  const positions = Array.from({ length: padded }, (_, at) => {
    const padding = at < before || at >= before + size;
    return {
      padding,
      pixel: padding ? paddingPixel(setting.padding_mode, at - before, size) : at - before,
      kind: at >= end ? "unused" : covered.has(at) ? "covered" : "skipped",
    };
  });
  const count = (kind, padding) =>
    positions.filter((position) => position.kind === kind && position.padding === padding).length;
  return {
    ...window, size, before, after, padded, room, out, positions,
    unused: { image: count("unused", false), padding: count("unused", true) },
    skipped: count("skipped", false),
  };
}

// Returns both axes of a setting on an input, and why PyTorch refuses it; null if it does not.
function geometryOf(setting, size) {
  const sides = sidesOf(setting, size);
  const axes = [0, 1].map((axis) => axisGeometry(size[axis], setting, axis, sides[axis]));
  const refused = setting.padding === "same" && Math.max(...setting.stride) > 1;
  const refusal = refused ? stridedSame(setting) : refusalOf(setting, axes);
  return { axes, refused, refusal, possible: !refusal, count: axes[0].out * axes[1].out };
}

function stridedSame({ stride }) {
  return {
    reason: "Padding “same” makes the output as large as the input, which needs stride 1. PyTorch " +
      `refuses it with stride ${pairText(stride)}.`,
    fixes: [["Use half", { padding: "half" }], ["Use stride 1", { stride: [1, 1] }]],
  };
}

// Returns why there is no output, and changes that make it possible: [text, change of the setting].
function refusalOf(setting, axes) {
  if (axes.every((axis) => axis.out)) return tooWide(setting, axes);
  const padding = axes.map((axis) =>
    axis.out ? axis.before : Math.ceil((axis.extent - axis.size) / 2));
  const kernel = axes.map((axis) =>
    Math.min(axis.kernel, Math.floor((axis.padded - 1) / axis.dilation) + 1));
  return {
    reason: `The kernel, ${times(axes.map((axis) => axis.extent))}, is larger than the padded input, ` +
      `${times(axes.map((axis) => axis.padded))}: no window fits, so there is no output. PyTorch ` +
      "raises an error.",
    fixes: [
      [`Use padding ${pairText(padding)}`, { padding }],
      [`Use kernel size ${pairText(kernel)}`, { kernel_size: kernel }],
    ],
  };
}

// Returns the refusal of padding that is larger than the pixels it repeats; reflect repeats one
// pixel less than the input has.
function tooWide({ padding_mode: mode }, axes) {
  const most = axes.map((axis) => ({ reflect: axis.size - 1, circular: axis.size })[mode] ?? Infinity);
  if (axes.every((axis, at) => Math.max(axis.before, axis.after) <= most[at])) return null;
  const padding = axes.map((axis, at) => Math.min(axis.before, most[at]));
  return {
    reason: `Padding mode “${mode}” takes the values of the input’s own pixels, and there are not ` +
      "as many as the padding. PyTorch raises an error.",
    fixes: [[`Use padding ${pairText(padding)}`, { padding }],
      ["Use zeros", { padding_mode: "zeros" }]],
  };
}

// Returns the positions that an output is computed from, along one axis.
const positionsOf = (axis, output) =>
  axis.taps.map((tap) => axis.positions[output * axis.stride + tap]);

// Returns how often the windows read each pixel along one axis; zeros of padding are no pixels, other
// padding reads pixels again.
function axisReads(axis) {
  const reads = new Array(axis.size).fill(0);
  for (let output = 0; output < axis.out; output++) {
    for (const { pixel } of positionsOf(axis, output)) if (pixel !== null) reads[pixel]++;
  }
  return reads;
}

// Returns how often each pixel of the input is read, row by row.
function readsOf({ axes }) {
  const [rows, columns] = axes.map(axisReads);
  return rows.flatMap((row) => columns.map((column) => row * column));
}

// Returns how often the pixels of an axis are read that no further window would read: [0, 1, 2], or
// nothing where windows are too few.
function interiorReads({ size, before, stride, extent, taps, out }) {
  const reads = new Set();
  const end = Math.min(size, out * stride - before);
  for (let pixel = Math.max(0, extent - stride - before); pixel < end; pixel++) {
    reads.add(taps.filter((tap) => (pixel + before - tap) % stride === 0).length);
  }
  return [...reads];
}

// Returns which outputs of a shifted input are those of the input before, "by" as many outputs as the
// shift has whole strides: true or false for each output in "moved".
function movedOutputs({ axes }, output, before, shift) {
  const by = shift.map((pixels, axis) => Math.trunc(pixels / axes[axis].stride) || 0);
  const [rows, columns] = axes.map((axis) => axis.out);
  const moved = Array.from(output, (value, index) => {
    const row = Math.floor(index / columns) - by[0];
    const column = (index % columns) - by[1];
    const inside = row >= 0 && row < rows && column >= 0 && column < columns;
    return inside && value === before[row * columns + column];
  });
  return { shift, by, moved, count: moved.filter(Boolean).length };
}

// Returns all products of one window, per channel: rows of {value, weight, product, padding}.
function productsAt(geometry, channels, weights, index) {
  const [vertical, horizontal] = geometry.axes;
  const rows = positionsOf(vertical, Math.floor(index / horizontal.out));
  const columns = positionsOf(horizontal, index % horizontal.out);
  return channels.map((pixels, channel) => rows.map((row, i) => columns.map((column, j) => {
    const outside = row.pixel === null || column.pixel === null;
    const value = outside ? 0 : pixels[row.pixel * horizontal.size + column.pixel];
    const weight = weights[channel][i * horizontal.kernel + j];
    return { value, weight, product: value * weight, padding: row.padding || column.padding };
  })));
}

// Returns all outputs, row by row. As in PyTorch, the kernel is not flipped (cross-correlation).
function convolve(geometry, channels, weights) {
  const [vertical, horizontal] = geometry.axes;
  const output = new Float64Array(geometry.count);
  const rowsOf = Array.from({ length: vertical.out }, (_, at) => positionsOf(vertical, at));
  const columnsOf = Array.from({ length: horizontal.out }, (_, at) => positionsOf(horizontal, at));
  for (let index = 0; index < output.length; index++) {
    const rows = rowsOf[Math.floor(index / horizontal.out)];
    const columns = columnsOf[index % horizontal.out];
    let sum = 0;
    channels.forEach((pixels, channel) => {
      for (let i = 0; i < rows.length; i++) {
        if (rows[i].pixel === null) continue;
        const row = rows[i].pixel * horizontal.size;
        for (let j = 0; j < columns.length; j++) {
          if (columns[j].pixel === null) continue;
          sum += pixels[row + columns[j].pixel] * weights[channel][i * horizontal.kernel + j];
        }
      }
    });
    output[index] = sum;
  }
  return output;
}

const isEven = ({ axes }) => axes.every((axis) => axis.before === axis.after);

// Returns a factor's value in a label; for padding its pixels, unless PyTorch refuses the setting.
function token({ key }, setting, geometry) {
  if (key !== "padding" || geometry.refused) return valueText(setting[key]);
  if (isEven(geometry)) return pairText(geometry.axes.map((axis) => axis.before));
  const [rows, columns] = geometry.axes.map((axis) => `${axis.before}+${axis.after}`);
  return rows === columns ? rows : `${rows}x${columns}`;
}

const variantLabel = (setting, geometry) => FACTORS
  .filter(({ key, default: usual }) => usual === null || valueText(setting[key]) !== `${usual}`)
  .map((factor) => factor.letter + token(factor, setting, geometry)).join("-");

// Returns the layer's PyTorch code, with a padding layer before it if the padding is uneven.
function pytorchCall(setting, geometry, channels) {
  const [vertical, horizontal] = geometry.axes;
  const text = (value) => (!Array.isArray(value) ? `"${value}"`
    : value[0] === value[1] ? `${value[0]}` : `(${value[0]}, ${value[1]})`);
  const uneven = !isEven(geometry) && setting.padding !== "same";
  const padding = setting.padding === "same" ? "same"
    : uneven ? [0, 0] : [vertical.before, horizontal.before];
  const filled = { zeros: "Zero", reflect: "Reflection", replicate: "Replication", circular: "Circular" };
  const values = { ...setting, padding, ...(uneven && { padding_mode: "zeros" }) };
  const written = FACTORS.map(({ key }) => `${key}=${text(values[key])}`);
  const layer = `torch.nn.Conv2d(${channels}, 1, ${written.join(", ")}, bias=False)`;
  const sides = [horizontal.before, horizontal.after, vertical.before, vertical.after];
  return uneven
    ? `torch.nn.Sequential(torch.nn.${filled[setting.padding_mode]}Pad2d((${sides.join(", ")})), ${layer})` : layer;
}
