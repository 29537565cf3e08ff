// Inputs and kernel weights: numbers and ones, or a test image and a trained filter.

const bytesOf = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));

// Decodes a run's filters and images; null without a run.
function decodeTrained(trained) {
  if (!trained) return null;
  const [count, depth, height, width] = trained.shape;
  const all = new Float32Array(bytesOf(trained.filters).buffer);
  const area = height * width;
  const filters = Array.from({ length: count }, (_, filter) =>
    Array.from({ length: depth }, (_, channel) =>
      all.subarray((filter * depth + channel) * area, (filter * depth + channel + 1) * area)));
  const images = trained.images.map(({ label, pixels }) => decodeImage(trained, label, bytesOf(pixels)));
  const effective = trained.effective
    && { ...trained.effective, contributions: bytesOf(trained.effective.contributions) };
  return { ...trained, kernel: [height, width], depth, filters, images, effective };
}

// Converts bytes (height, width, channel) to channels, normalised as in training in single precision.
function decodeImage({ mean, std, size }, label, pixels) {
  const depth = mean.length;
  const channels = mean.map((_, channel) => {
    const centre = Math.fround(mean[channel]);
    const scale = Math.fround(1 / std[channel]);
    return Float64Array.from({ length: size[0] * size[1] }, (_, at) =>
      Math.fround(Math.fround(pixels[at * depth + channel] - centre) * scale));
  });
  return {
    label, size, channels,
    colour: (at) => pixelColour(pixels, at, depth),
    black: mean.map((centre, channel) => Math.fround(-Math.fround(centre) * Math.fround(1 / std[channel]))),
  };
}

function pixelColour(pixels, at, depth) {
  const part = (channel) => pixels[at * depth + (depth === 3 ? channel : 0)];
  return `rgb(${part(0)},${part(1)},${part(2)})`;
}

// The tutorial's input, torch.arange: 0, 1, 2, … row by row.
function countingInput(size) {
  const values = Float64Array.from({ length: size[0] * size[1] }, (_, at) => at);
  return { label: "numbers", size, channels: [values], colour: null };
}

// Returns a source whose pixels are moved [down, right]; zeros come in, in an image black.
function shiftedSource(source, [down, right]) {
  const [height, width] = source.size;
  const origins = Array.from({ length: height * width }, (_, at) => {
    const row = Math.floor(at / width) - down;
    const column = (at % width) - right;
    const inside = row >= 0 && row < height && column >= 0 && column < width;
    return inside ? row * width + column : null;
  });
  const { colour, black } = source;
  return {
    ...source,
    channels: source.channels.map((values, channel) =>
      Float64Array.from(origins, (origin) =>
        (origin === null ? black?.[channel] ?? 0 : values[origin]))),
    colour: colour && ((at) => (origins[at] === null ? "rgb(0,0,0)" : colour(origins[at]))),
  };
}

const onesKernel = ([height, width]) => [new Float64Array(height * width).fill(1)];

const addUp = (numbers) => numbers.reduce((sum, number) => sum + number, 0);

// Returns how far a filter's weights are from summing to 0: 0 for an edge filter, 1 for a blur.
function imbalance(filter) {
  const size = addUp(filter.flatMap((channel) => Array.from(channel, Math.abs)));
  return size && addUp(filter.map((channel) => Math.abs(addUp(channel)))) / size;
}

// Returns minimum and maximum of the sum of factors[channel] times the channel's normalised value,
// over all pixels from 0 to 255.
function rangeOf(factors, { mean, std }) {
  const ends = factors.map((factor, channel) =>
    [0, 255].map((pixel) => (factor * (pixel - mean[channel])) / std[channel]));
  return [Math.min, Math.max].map((choose) => addUp(ends.map((pair) => choose(...pair))));
}

// Returns minimum and maximum of a filter's output on pixels from 0 to 255: `flat` for windows of a
// single colour, `any` for all windows.
function outputRanges(filter, normalisation) {
  const byWeight = Array.from(filter[0], (_, at) =>
    rangeOf(filter.map((channel) => channel[at]), normalisation));
  return {
    flat: rangeOf(filter.map(addUp), normalisation),
    any: [0, 1].map((end) => addUp(byWeight.map((range) => range[end]))),
  };
}

// Returns the index of the filter that is most like an edge detector: its weights rise in one
// direction and sum to 0 in each channel. A filter of only zeros is chosen last.
function edgeFilter(filters, [height, width]) {
  const likeness = (filter) => {
    const total = { size: 0, down: 0, right: 0 };
    filter.forEach((channel) => channel.forEach((weight, at) => {
      total.size += Math.abs(weight);
      total.down += weight * (Math.floor(at / width) - (height - 1) / 2);
      total.right += weight * ((at % width) - (width - 1) / 2);
    }));
    if (!total.size) return -Infinity;
    const radius = Math.hypot(height - 1, width - 1) / 2 || 1;
    return Math.hypot(total.down, total.right) / (total.size * radius) - imbalance(filter);
  };
  const scores = filters.map(likeness);
  return scores.indexOf(Math.max(...scores));
}
