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

// A choice with its label; `change` is told the chosen value.
export function choice(label, options, change) {
  const id = `choice ${label}`;
  const select = element("select", { id, "data-id": id, change: () => change(select.value) }, ...options);
  return element("div", { class: "choice" }, element("label", { for: id }, label), select);
}

export function option(value, text, chosen) {
  return element("option", { value, selected: value === chosen }, text);
}
