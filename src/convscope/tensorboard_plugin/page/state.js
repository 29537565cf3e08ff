// What the user has chosen, kept in the address of the TensorBoard page: a link shows the same.

const PREFIX = "p.convscope.";

// Of every other key it is "".
const DEFAULTS = { view: "table", sort: "-best_val_accuracy" };

// The page lies in an iframe of TensorBoard's own; opened by itself it is its own parent.
export const host = window.parent;

const listeners = [];
let state = read();

host.addEventListener("hashchange", () => {
  const now = read();
  if (JSON.stringify(now) === JSON.stringify(state)) return;
  state = now;
  tell();
});

export function get(key) {
  return state[key] ?? "";
}

// Ids of a key that holds several.
export function list(key) {
  return get(key).split(" ").filter(Boolean);
}

export function change(values) {
  state = { ...state, ...values };
  write();
  tell();
}

// With the id where the list lacks it, without it where not; of at most `most` the latest are kept.
export function toggle(key, id, most = Infinity) {
  const ids = list(key);
  const others = ids.filter((one) => one !== id);
  const toggled = others.length < ids.length ? others : [...ids, id];
  change({ [key]: toggled.slice(-most).join(" ") });
}

export function onChange(listener) {
  listeners.push(listener);
}

function tell() {
  for (const listener of listeners) listener();
}

function parts() {
  return host.location.hash.slice(1).split("&");
}

function read() {
  const found = {};
  for (const part of parts()) {
    const [key, value] = part.split("=");
    if (key.startsWith(PREFIX) && value) found[key.slice(PREFIX.length)] = decodeURIComponent(value);
  }
  return { ...DEFAULTS, ...found };
}

function write() {
  const others = parts().filter((part) => part && !part.startsWith(PREFIX));
  const own = Object.entries(state)
    .filter(([key, value]) => value !== (DEFAULTS[key] ?? ""))
    .map(([key, value]) => `${PREFIX}${key}=${encodeURIComponent(value)}`);
  const url = new URL(host.location.href);
  url.hash = [...(others.length ? others : ["convscope"]), ...own].join("&");
  host.history.replaceState(host.history.state, "", url);
}
