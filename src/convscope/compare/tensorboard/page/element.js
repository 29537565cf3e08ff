// Elements made of attributes and text: whatever came from a record is text and never markup.

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

// A choice among [value, text] pairs, with its label.
export function choice(label, options, chosen, change) {
  const select = element(
    "select",
    { "data-id": `choice ${label}`, change: () => change(select.value) },
    ...options.map(([value, text]) => element("option", { value, selected: value === chosen }, text)),
  );
  return element("label", { class: "choice" }, label, select);
}
