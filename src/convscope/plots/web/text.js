// Values as people read them.

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const sixDigits = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 6 });
const or = (format) => (value) => (value === null || value === undefined ? "–" : format(value));

export const percent = or((value) => `${(100 * value).toFixed(2)} %`);
export const plain = or((value) => (typeof value === "number" ? number(value) : String(value)));

function number(value) {
  if (Number.isInteger(value)) return whole.format(value);
  // Six digits, and the smallest ones in the notation that a config has.
  return Math.abs(value) < 1e-4 ? String(Number(value.toPrecision(6))) : sixDigits.format(value);
}

export function numbered(amount, noun) {
  return `${whole.format(amount)} ${noun}${amount === 1 ? "" : "s"}`;
}
