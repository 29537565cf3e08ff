// Values as people read them.

export const NONE = "–";

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const sixDigits = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 6 });
const or = (format) => (value) => (value === null || value === undefined ? NONE : format(value));

export const count = or((value) => whole.format(value));
export const percent = or((value) => `${(100 * value).toFixed(2)} %`);
export const plain = or((value) => (typeof value === "number" ? number(value) : String(value)));

function number(value) {
  if (Number.isInteger(value)) return whole.format(value);
  // Six digits, and the smallest ones in the notation that a config has.
  return Math.abs(value) < 1e-4 ? String(Number(value.toPrecision(6))) : sixDigits.format(value);
}

// 11,000 ± 1,000; without a deviation only the value.
export function spread(value, deviation, format) {
  if (deviation === null || deviation === undefined) return format(value);
  return `${format(value)} ± ${format(deviation)}`;
}

export function numbered(amount, noun) {
  return `${whole.format(amount)} ${noun}${amount === 1 ? "" : "s"}`;
}
