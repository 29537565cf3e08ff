// What the kernel is laid on, and its weights: numbers and ones, or a test image and a filter.

const bytesOf = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));

// A run's filters and images, decoded; null without a run.
function decodeTrained(trained) {
  if (!trained) return null;
  const [count, depth, height, width] = trained.shape;
  const all = new Float32Array(bytesOf(trained.filters).buffer);
  const area = height * width;
  const filters = Array.from({ length: count }, (_, filter) =>
    Array.from({ length: depth }, (_, channel) =>
      all.subarray((filter * depth + channel) * area, (filter * depth + channel + 1) * area)));
  const images = trained.images.map(({ label, pixels }) => decodeImage(trained, label, bytesOf(pixels)));
  return { ...trained, kernel: [height, width], depth, filters, images };
}

// Bytes (height, width, channel) to channels normalised as in training, in single precision.
function decodeImage({ mean, std, size }, label, pixels) {
  const depth = mean.length;
  const channels = mean.map((_, channel) => {
    const centre = Math.fround(mean[channel]);
    const scale = Math.fround(1 / std[channel]);
    return Float64Array.from({ length: size[0] * size[1] }, (_, at) =>
      Math.fround(Math.fround(pixels[at * depth + channel] - centre) * scale));
  });
  return { label, size, channels, colour: (at) => pixelColour(pixels, at, depth) };
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

const onesKernel = ([height, width]) => [new Float64Array(height * width).fill(1)];

// How far a filter's weights are from cancelling out: 0 for an edge filter, 1 for a blur.
function imbalance(filter) {
  const weights = filter.flatMap((channel) => Array.from(channel));
  const size = weights.reduce((sum, weight) => sum + Math.abs(weight), 0);
  return size && Math.abs(weights.reduce((sum, weight) => sum + weight, 0)) / size;
}

// The filter most like an edge's: its weights rise across it in one direction, and cancel out.
function edgeFilter(filters, [height, width]) {
  const likeness = (filter) => {
    const total = { size: 0, down: 0, right: 0 };
    filter.forEach((channel) => channel.forEach((weight, at) => {
      total.size += Math.abs(weight);
      total.down += weight * (Math.floor(at / width) - (height - 1) / 2);
      total.right += weight * ((at % width) - (width - 1) / 2);
    }));
    const radius = Math.hypot(height - 1, width - 1) / 2 || 1;
    return Math.hypot(total.down, total.right) / (total.size * radius || 1) - imbalance(filter);
  };
  const scores = filters.map(likeness);
  return scores.indexOf(Math.max(...scores));
}
