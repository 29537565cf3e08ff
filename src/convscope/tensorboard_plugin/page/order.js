// Rows by a column; `-` in front for the largest first. What has no value comes last.

export function sorted(rows, by) {
  const falling = by.startsWith("-");
  const key = falling ? by.slice(1) : by;
  const here = rows.filter((row) => !missing(row[key]));
  here.sort((one, other) => (falling ? -1 : 1) * compared(one[key], other[key]));
  return [...here, ...rows.filter((row) => missing(row[key]))];
}

function missing(value) {
  return value === null || value === undefined;
}

function compared(one, other) {
  if (typeof one === "number" && typeof other === "number") return one - other;
  return String(one).localeCompare(String(other), "en", { numeric: true });
}
