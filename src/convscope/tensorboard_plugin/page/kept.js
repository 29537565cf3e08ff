// Nodes made anew only where what they show has changed: the rest stays, with its focus.

export function keeper() {
  let before = new Map();
  let now = new Map();
  return {
    node(key, shown, make) {
      const stamp = JSON.stringify(shown);
      const known = before.get(key);
      const entry = known?.stamp === stamp ? known : { stamp, node: make() };
      now.set(key, entry);
      return entry.node;
    },
    // What was not asked for since the last turn is forgotten.
    turn() {
      before = now;
      now = new Map();
    },
  };
}

// The parent with exactly these children. A focused element that was made anew, known by its
// `data-id`, has the focus again.
export function refill(parent, children) {
  if (children.length === parent.children.length && children.every((one, n) => one === parent.children[n])) {
    return;
  }
  const focused = parent.contains(document.activeElement) ? document.activeElement : null;
  parent.replaceChildren(...children);
  if (!focused) return;
  const { id } = focused.dataset;
  const again = id ? parent.querySelector(`[data-id="${CSS.escape(id)}"]`) : focused;
  again?.focus({ preventScroll: true });
}
