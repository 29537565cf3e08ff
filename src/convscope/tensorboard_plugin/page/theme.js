// Dark where TensorBoard is dark, at once when it changes.

import { host } from "./state.js";

export function isDark() {
  return host.document.body.classList.contains("dark-mode");
}

export function followTheme(changed) {
  const show = () => document.documentElement.classList.toggle("dark", isDark());
  show();
  new MutationObserver(() => {
    if (document.documentElement.classList.contains("dark") === isDark()) return;
    show();
    changed();
  }).observe(host.document.body, { attributes: true, attributeFilter: ["class"] });
}
