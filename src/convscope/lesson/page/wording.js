// Sentences on a geometry, a window and its products, as text or HTML.

const AXES = ["height", "width"];
const PIECES = [["row", "rows"], ["column", "columns"]];
const COLOURS = ["red", "green", "blue"];
const ABOUT_ZERO = 0.05; // share of the largest possible output below which an output is about 0
const LISTED_READS = 6; // maximum number of read counts in the legend
const LISTED_SUM = 9; // maximum number of products that a sum lists one by one

const times = (pair) => pair.join("\u00a0×\u00a0");
const plural = (count, [one, many]) => `${count} ${count === 1 ? one : many}`;
const listed = (parts) => (parts.length < 2 ? parts.join("")
  : `${parts.slice(0, -1).join(", ")} and ${parts.at(-1)}`);
const minus = (text) => String(text).replace("-", "−");

// Formats a number for reading: integers in full, others to about three digits.
function shortNumber(value) {
  if (Number.isInteger(value)) return minus(value);
  const size = Math.abs(value);
  const text = size.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
  return value < 0 && Number(text) ? `−${text}` : text;
}

// Returns the formula with numbers, in one line if both axes agree.
function formulaLines({ axes, refused }) {
  if (refused) return "<p>PyTorch refuses this setting before it calculates a size.</p>";
  const equal = ["size", "before", "after", "extent", "stride"].every(
    (key) => axes[0][key] === axes[1][key]);
  return (equal ? axes.slice(0, 1) : axes).map((axis, at) => {
    const { size, before, after, extent, stride, room } = axis;
    const quotient = minus(Math.round((room / stride) * 100) / 100);
    const result = minus(Math.floor(room / stride) + 1);
    return `<p><span class="axis">${equal ? "height and width" : AXES[at]}</span> ` +
      `<span class="worked">floor((${size} + ${before} + ${after} − ${extent}) / ${stride}) + 1</span> ` +
      `<span class="worked">= floor(${quotient}) + 1 = <b>${result}</b>` +
      `${axis.out ? "" : ", no output"}</span></p>`;
  }).join("");
}

const isUneven = ({ axes, possible }) => possible && axes.some((axis) => axis.room % axis.stride);

function floorText(geometry) {
  return isUneven(geometry)
    ? `The division leaves a remainder: PyTorch rounds down, and ${unusedText(geometry)} at the end ` +
      "stay unused. Some visualisers call such a size invalid."
    : "Where the division leaves a remainder, PyTorch rounds down. Some visualisers call such a " +
      "size invalid.";
}

function unusedText({ axes }) {
  return listed(axes.flatMap(({ unused: { image, padding } }, at) => [
    image && plural(image, PIECES[at]),
    padding && plural(padding, PIECES[at].map((piece) => `padding ${piece}`)),
  ]).filter(Boolean));
}

function skippedText({ axes }) {
  return listed(axes.flatMap((axis, at) => (axis.skipped ? [plural(axis.skipped, PIECES[at])] : [])));
}

function paddingText({ axes }) {
  const [[top, bottom], [left, right]] = axes.map((axis) => [axis.before, axis.after]);
  if (top + bottom + left + right === 0) return "none";
  if (top !== bottom || left !== right) {
    return `${top} above, ${bottom} below, ${left} left, ${right} right`;
  }
  return top === left ? `${top} on each side` : `${top} above and below, ${left} left and right`;
}

const either = (parts) => (parts.length < 2 ? parts.join("")
  : `${parts.slice(0, -1).join(", ")} or ${parts.at(-1)}`);
const distinct = (numbers) => [...new Set(numbers)].sort((a, b) => a - b);

// Returns sentences on how often the windows read the pixels of the input.
function readsText({ axes }, reads) {
  const all = distinct(reads);
  if (all.length === 1) return `Every pixel is read ${timesText(all)}.`;
  const whole = String(all) === "0,1" ? `Pixels are read ${timesText(all)}.`
    : `Pixels are read ${all[0]} to ${all.at(-1)} times.`;
  const [rows, columns] = axes.map(interiorReads);
  const interior = distinct(rows.flatMap((row) => columns.map((column) => row * column)));
  if (!interior.length) return whole;
  const uneven = axes.filter(({ kernel, stride }) => kernel % stride);
  const { stride, kernel } = uneven[0] ?? {};
  const repeats = axes.some(({ positions }) =>
    positions.some(({ padding, pixel }) => padding && pixel !== null));
  const why = interior.includes(0) ? "the windows leave gaps"
    : interior.length > 1 ? `stride ${stride} does not divide kernel size ${kernel}`
      : repeats ? "padding repeats pixels near the border" : "fewer windows reach the border";
  return `${whole} Away from the border it is ${timesText(interior)}: ${why}.`;
}

// Returns "once", "once or never", "4 times" or "1, 2 or 4 times" for ascending numbers.
function timesText(numbers) {
  return { 1: "once", "0,1": "once or never" }[String(numbers)] ?? `${either(numbers)} times`;
}

// Returns "2 right and 1 down" for [1, 2].
function shiftText([down, right]) {
  return listed([
    right && `${Math.abs(right)} ${right > 0 ? "right" : "left"}`,
    down && `${Math.abs(down)} ${down > 0 ? "down" : "up"}`,
  ].filter(Boolean));
}

// Returns sentences on a trained network's answers to an image, shifted and not: those of all shifts,
// row by row, are the most probable classes as [name, probability].
function answerText(answers, shift) {
  const side = Math.sqrt(answers.length);
  const reach = (side - 1) / 2;
  const [down, right] = shift;
  const at = (row, column) => answers[(row + reach) * side + column + reach]
    .filter(([, probability], place) => place === 0 || probability >= 0.005)
    .map(([name, probability]) => `${name} (${Math.round(100 * probability)}\u00a0%)`).join(", ");
  const still = `The trained network answers ${at(0, 0)}.`;
  if (!down && !right) return still;
  if (Math.max(Math.abs(down), Math.abs(right)) > reach) {
    return `${still} Its answers are known for shifts of up to ${reach} pixels.`;
  }
  return `${still} Shifted ${shiftText(shift)}: ${at(down, right)}.`;
}

// Returns sentences on a trained network's effective receptive field.
function effectiveText({ side, share, receptive_field, map }) {
  return "How much each pixel contributes, on average over test images, to the central unit of the trained " +
    `network’s last map, ${times(map)}. The stronger the orange, the more, by its square root. ` +
    `Dashed: the theoretical receptive field, ${times(receptive_field)}. ` +
    `Solid: the smallest square with half of all contributions, ${times([side, side])}, which has ` +
    `${Math.round(100 * share)}\u00a0% of the theoretical field’s pixels.`;
}

// Returns sentences on how many outputs move with the shifted input.
function movedText({ axes, count: all }, { shift, by, count }) {
  const given = `Input shifted ${shiftText(shift)}`;
  const share = `${count} of ${all} outputs (${Math.round((100 * count) / all)}\u00a0%)`;
  const rest = all === count ? "" : ` The other ${all - count}, hatched, `;
  const broken = [1, 0].find((axis) => shift[axis] % axes[axis].stride);
  if (broken === undefined) {
    return `${given}: ${share} move with it, ${shiftText(by)}.${rest && `${rest}are at the border.`}`;
  }
  const strides = Number((Math.abs(shift[broken]) / axes[broken].stride).toFixed(2));
  const where = shiftText(by);
  return `${given}, ${strides} of the stride: the outputs cannot move with it. ` +
    (count ? `${share} ${where ? `are those of before, moved ${where}` : "keep their value"}.`
      + `${rest && `${rest}are new values.`}` : `All ${all}, hatched, are new values.`);
}

// Returns the legend: [shade, name, its value in this geometry, share of the full shade if not all].
function legendItems(geometry, output, reads, moved) {
  const items = [["window", "Window", times(geometry.axes.map((axis) => axis.extent))]];
  items.push(["padding", "Padding", paddingText(geometry)]);
  if (geometry.possible) {
    items.push(["unused", "Unused border", unusedText(geometry) || "none"]);
    items.push(["skipped", "Skipped", skippedText(geometry) || "none"]);
  }
  if (reads) items.push(...readItems(reads));
  if (moved) items.push(["changed", "Does not move with the input", plural(geometry.count - moved.count, ["output", "outputs"])]);
  if (output.some((value) => value < 0)) {
    items.push(["positive", "Output above 0", ""], ["negative", "Output below 0", ""]);
  }
  return items;
}

// Returns the legend of read counts: all that occur, or the smallest and the largest of many.
function readItems(reads) {
  const counts = distinct(reads).filter(Boolean);
  const shown = counts.length > LISTED_READS ? [counts[0], counts.at(-1)] : counts;
  return shown.map((count) => ["reads", `Read ${timesText([count])}`,
    plural(reads.filter((other) => other === count).length, ["pixel", "pixels"]),
    (READS_SHADE * count) / counts.at(-1)]);
}

// Returns the sum of one window's products as text; the products are a table per channel.
function sumText(tables, names, sum) {
  const total = `${Number.isInteger(sum) ? "=" : "≈"} <b>${shortNumber(sum)}</b>`;
  const signed = (value) => (shortNumber(value).startsWith("−")
    ? `(${shortNumber(value)})` : shortNumber(value));
  const all = tables.map((rows) => rows.flat().map((entry) => entry.product));
  if (names.length) {
    const parts = all.map((products, at) =>
      `${names[at]} ${signed(products.reduce((part, product) => part + product, 0))}`);
    return `${parts.join(" + ")} ${total}`;
  }
  if (all[0].length <= LISTED_SUM) return `${all[0].map(signed).join(" + ")} ${total}`;
  return `sum of the ${all[0].length.toLocaleString("en")} products ${total}`;
}

// Formats a number in a sentence. A small number has two significant digits, so that it is not shown
// as 0, unless it is only the rounding error of sums as large as `scale`.
function numberText(value, scale) {
  const size = Math.abs(value);
  if (size < 1e-5 * scale) return "0";
  return size < 0.1 ? minus(Number(value.toPrecision(2))) : shortNumber(value);
}

// Returns a sentence on a filter's output for areas of one colour, from its weights per channel.
function flatText(filter, normalisation) {
  if (filter.every((channel) => channel.every((weight) => weight === 0))) {
    return "All its weights are 0, so every output is 0.";
  }
  const colour = filter.length === COLOURS.length;
  const { flat, any } = outputRanges(filter, normalisation);
  const largest = (range) => Math.max(...range.map(Math.abs));
  const text = (value) => numberText(value, largest(any));
  const sums = filter.map((channel) => text(addUp(channel)));
  const added = colour ? listed(sums.map((sum, at) => `${sum} for ${COLOURS[at]}`)) : sums[0];
  const [least, most] = flat.map(text);
  const effect = largest(flat) <= ABOUT_ZERO * largest(any)
    ? "flat areas give about 0, edges stand out"
    : `a flat area gives ${least} to ${most}, depending on its ${colour ? "colour" : "brightness"}`;
  return `Its weights add up to ${added}: ${effect}.`;
}
