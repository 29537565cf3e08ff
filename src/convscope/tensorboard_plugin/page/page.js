// A tab per view, one filter for all, and the runs as they were last told.

import { element } from "./element.js";
import { filterBar } from "./filter.js";
import { Problem, ask } from "./server.js";
import * as state from "./state.js";
import { followTheme } from "./theme.js";
import { views } from "./views.js";

export class Page {
  constructor() {
    this.views = {};
    this.filter = filterBar();
    this.notice = element("p", { class: "notice", role: "status" }, "Reading the runs …");
    this.main = element("main", { hidden: true });
    this.nav = element("nav", { "aria-label": "Views" });
    this.parts = [element("header", {}, this.nav, this.filter.root), this.notice, this.main];
    this.answer = null;
    this.asking = null;
    state.onChange(() => this.changed());
    followTheme(() => this.show());
  }

  // Once it is known which figures there are.
  open(figures) {
    this.views = views(figures);
    const tab = (name) =>
      element("button", { type: "button", "data-view": name, click: () => state.change({ view: name }) });
    this.nav.replaceChildren(...Object.keys(this.views).map(tab));
    this.main.replaceChildren(...Object.values(this.views).map((view) => view.root));
    this.show();
  }

  // Once more, unless nobody looks or a question is still open.
  look() {
    if (!document.hidden && innerHeight > 0 && !this.asking) this.refresh();
  }

  async refresh() {
    const where = state.get("where");
    const known = this.answer?.where === where ? this.answer.version : "";
    const asking = (this.asking = {});
    try {
      const figures = this.main.childElementCount ? null : (await ask("figures", {})).figures;
      if (figures && asking === this.asking) this.open(figures);
      const told = await ask("runs", { where, known });
      if (asking !== this.asking) return;
      if (told.version !== known) this.answer = { ...told, where };
      this.say({ notice: noticeOf(this.answer), problem: "" });
    } catch (error) {
      if (asking !== this.asking) return;
      const filtered = error instanceof Problem && where;
      const notice = this.answer ? noticeOf(this.answer) : "";
      this.say(filtered ? { notice, problem: error.message } : { notice: error.message });
    }
    this.asking = null;
    this.show();
  }

  changed() {
    this.show();
    if (this.answer?.where !== state.get("where")) this.refresh();
  }

  say({ notice, problem }) {
    this.notice.textContent = notice;
    this.filter.show(this.answer, problem);
  }

  show() {
    if (!this.main.childElementCount) return;
    const chosen = state.get("view") in this.views ? state.get("view") : "table";
    for (const tab of this.nav.children) {
      tab.textContent = this.views[tab.dataset.view].title;
      tab.setAttribute("aria-current", String(tab.dataset.view === chosen));
    }
    for (const [name, view] of Object.entries(this.views)) view.root.hidden = name !== chosen;
    this.main.hidden = !this.answer?.groups.length && !this.answer?.unreadable.length;
    if (this.answer) this.views[chosen].update(this.answer);
  }
}

function noticeOf({ all, groups, logdir }) {
  if (!all.runs) {
    return `There is no run below ${logdir} yet. Train one, for example with python scripts/train.py: it appears here by itself.`;
  }
  return groups.length ? "" : "No variant fits the filter.";
}
