// Values as people read them.

export const NONE = "–";

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const or = (format) => (value) => (value === null || value === undefined ? NONE : format(value));

export const count = or((value) => whole.format(value));
export const percent = or((value) => `${(100 * value).toFixed(2)} %`);
export const plain = or((value) => (typeof value === "number" ? number(value) : String(value)));

function number(value) {
  if (!Number.isInteger(value)) return String(Number(value.toPrecision(6)));
  return Math.abs(value) < 10000 ? String(value) : whole.format(value);
}

// 912, 28.2k, 4.63M.
export const abbreviated = or((value) => {
  for (const [unit, factor] of [["G", 1e9], ["M", 1e6], ["k", 1e3]]) {
    if (value >= factor) return `${Number((value / factor).toPrecision(3))}${unit}`;
  }
  return whole.format(value);
});

// 98.75 ± 0.12 %; without a deviation the value alone.
export function spread(value, deviation, format) {
  if (deviation === null || deviation === undefined) return format(value);
  return `${format(value).replace(" %", "")} ± ${format(deviation)}`;
}

export function numbered(amount, noun) {
  return `${whole.format(amount)} ${noun}${amount === 1 ? "" : "s"}`;
}
