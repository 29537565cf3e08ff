// Convolution arithmetic along one axis and over a whole input: no page, no state.
// The same rules as convscope.geometry; a pair is [height, width], sides are [before, after].

const NAMES = ["valid", "half", "full", "same"];

const pairText = ([height, width]) => (height === width ? `${height}` : `${height}x${width}`);

// Text such as "3" or "3x5" to a pair; null where it is neither.
function parsePair(text) {
  const match = /^(-?(?:0|[1-9]\d*))(?:\s*[x×]\s*(-?(?:0|[1-9]\d*)))?$/.exec(text.trim());
  return match ? [Number(match[1]), Number(match[2] ?? match[1])] : null;
}

// Padding in pixels: [[top, bottom], [left, right]]. "same" is PyTorch's: the odd pixel after.
function sidesOf(padding, kernel) {
  if (Array.isArray(padding)) return padding.map((pixels) => [pixels, pixels]);
  return kernel.map((size) => {
    if (padding === "same") return [Math.floor((size - 1) / 2), Math.ceil((size - 1) / 2)];
    const pixels = { valid: 0, half: Math.floor(size / 2), full: size - 1 }[padding];
    return [pixels, pixels];
  });
}

// One axis: sizes, and for each place of the padded input whether it is "padding", and whether
// it is "read", "skipped" (between two windows) or "unread" (after the last one).
function axisGeometry(size, kernel, stride, [before, after]) {
  const padded = before + size + after;
  const room = padded - kernel;
  const out = room < 0 ? 0 : Math.floor(room / stride) + 1;
  const end = out === 0 ? 0 : (out - 1) * stride + kernel;
  const places = Array.from({ length: padded }, (_, at) => ({
    padding: at < before || at >= before + size,
    kind: at >= end ? "unread" : at % stride >= kernel ? "skipped" : "read",
  }));
  const count = (kind, padding) =>
    places.filter((place) => place.kind === kind && place.padding === padding).length;
  return {
    size, kernel, stride, before, after, padded, room, out, places,
    unread: { image: count("unread", false), padding: count("unread", true) },
    skipped: count("skipped", false),
  };
}

// Both axes of a setting {kernel, stride, padding} on an input, and what makes it impossible.
function geometryOf(setting, size) {
  const sides = sidesOf(setting.padding, setting.kernel);
  const axes = [0, 1].map((axis) =>
    axisGeometry(size[axis], setting.kernel[axis], setting.stride[axis], sides[axis]));
  const refused = setting.padding === "same" && Math.max(...setting.stride) > 1;
  const empty = axes.some((axis) => axis.out === 0);
  return { axes, refused, empty, possible: !refused && !empty, count: axes[0].out * axes[1].out };
}

// Every product of one window: rows of {value, weight, product, padding}, one table per channel.
function productsAt(geometry, channels, weights, index) {
  const [vertical, horizontal] = geometry.axes;
  const top = Math.floor(index / horizontal.out) * vertical.stride;
  const left = (index % horizontal.out) * horizontal.stride;
  return channels.map((pixels, channel) =>
    Array.from({ length: vertical.kernel }, (_, i) =>
      Array.from({ length: horizontal.kernel }, (_, j) => {
        const padding = vertical.places[top + i].padding || horizontal.places[left + j].padding;
        const row = top + i - vertical.before;
        const value = padding ? 0 : pixels[row * horizontal.size + left + j - horizontal.before];
        const weight = weights[channel][i * horizontal.kernel + j];
        return { value, weight, product: value * weight, padding };
      })));
}

// Every output, row by row. Cross-correlation, as in PyTorch: the kernel is not flipped.
function convolve(geometry, channels, weights) {
  const [vertical, horizontal] = geometry.axes;
  const output = new Float64Array(geometry.count);
  for (let index = 0; index < output.length; index++) {
    const top = Math.floor(index / horizontal.out) * vertical.stride - vertical.before;
    const left = (index % horizontal.out) * horizontal.stride - horizontal.before;
    const firstRow = Math.max(0, -top);
    const endRow = Math.min(vertical.kernel, vertical.size - top);
    const firstColumn = Math.max(0, -left);
    const endColumn = Math.min(horizontal.kernel, horizontal.size - left);
    let sum = 0;
    channels.forEach((pixels, channel) => {
      for (let i = firstRow; i < endRow; i++) {
        const row = (top + i) * horizontal.size + left;
        for (let j = firstColumn; j < endColumn; j++) {
          sum += pixels[row + j] * weights[channel][i * horizontal.kernel + j];
        }
      }
    });
    output[index] = sum;
  }
  return output;
}

// Changes that make an impossible setting possible: [text, change of the setting].
function fixesFor(setting, geometry, kernelIsFree) {
  if (geometry.refused) {
    return [["Use half", { padding: "half" }], ["Use stride 1", { stride: [1, 1] }]];
  }
  const padding = geometry.axes.map((axis) =>
    axis.out ? axis.before : Math.ceil((axis.kernel - axis.size) / 2));
  const fixes = [[`Use padding ${pairText(padding)}`, { padding }]];
  if (kernelIsFree) {
    const kernel = geometry.axes.map((axis) => Math.min(axis.kernel, axis.padded));
    fixes.push([`Use kernel size ${pairText(kernel)}`, { kernel }]);
  }
  return fixes;
}

function variantLabel(setting, geometry) {
  const [[top, bottom], [left, right]] = geometry.axes.map((axis) => [axis.before, axis.after]);
  const sides = top === bottom && left === right ? pairText([top, left])
    : top === left && bottom === right ? `${top}+${bottom}` : `${top}+${bottom}x${left}+${right}`;
  // A refused `same` has no pixels.
  const padding = geometry.refused ? "same" : sides;
  return `k${pairText(setting.kernel)}-s${pairText(setting.stride)}-p${padding}`;
}

// The layer as one writes it in PyTorch.
function pytorchCall(setting, geometry, channels) {
  const value = ([height, width]) => (height === width ? `${height}` : `(${height}, ${width})`);
  const [vertical, horizontal] = geometry.axes;
  const padding = setting.padding === "same"
    ? '"same"' : value([vertical.before, horizontal.before]);
  return `torch.nn.Conv2d(${channels}, 1, kernel_size=${value(setting.kernel)}, ` +
    `stride=${value(setting.stride)}, padding=${padding}, bias=False)`;
}
