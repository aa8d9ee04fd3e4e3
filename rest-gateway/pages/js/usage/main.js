// The usage: calls, tokens and costs of a period, and the budgets and limits of today.
import { h, replace } from "../dom.js";
import { getKey } from "../key.js";
import { mountKeys } from "../keys/main.js";
import { startPage } from "../shell.js";
import { errorNotice } from "../ui/status.js";
import { toast } from "../ui/toast.js";
import { budgetList } from "./budgets.js";
import { loadBudgets, loadCsv, loadModels, loadUsage } from "./data.js";
import { ownLimits } from "./limits.js";
import { anonymousNotice, keyNeeded } from "./notices.js";
import { fromFragment, toFragment } from "./period.js";
import { report } from "./report.js";
import { mountToolbar } from "./toolbar.js";

await startPage("usage", { texts: ["keys"] });

const status = h("div", {});
const content = h("div", { class: "usage-report" });
const budgetSection = section("usage.budgets.title", "usage.budgets.hint");
const limitSection = section("usage.limits.title", "usage.limits.hint");

let shown = null;
/// The measure that the user has chosen.
let measure = null;
/// Counts the loads, so that an older response does not replace a newer one.
let loads = 0;
let reloadKeys = () => {};

const toolbar = mountToolbar(document.getElementById("usage-toolbar"), {
  selection: fromFragment(location.hash),
  onchange(selection) {
    history.replaceState(null, "", toFragment(selection));
    load();
  },
  onreload() {
    load();
    reloadKeys();
  },
  ondownload: download,
});
document.getElementById("usage").append(status, content, budgetSection.root, limitSection.root);

async function load() {
  loads += 1;
  const current = loads;
  const selection = toolbar.selection();
  toolbar.setBusy(true);
  content.setAttribute("aria-busy", "true");
  if (!shown) replace(status, h("p", { class: "muted", role: "status", t: "common.loading" }));
  try {
    const [usage, budgets, models] = await Promise.all([loadUsage(selection), loadBudgets(), loadModels()]);
    if (current !== loads) return;
    shown = { usage, budgets, models, selection };
    show();
  } catch (error) {
    if (current !== loads) return;
    shown = null;
    budgetSection.root.hidden = true;
    limitSection.root.hidden = true;
    replace(content);
    replace(status, error.status === 401 ? keyNeeded() : [errorNotice(error), retry()]);
  } finally {
    if (current === loads) {
      toolbar.setBusy(false);
      content.removeAttribute("aria-busy");
    }
  }
}

function show() {
  if (!shown) return;
  const { usage, budgets, models, selection } = shown;
  toolbar.setNames(names(usage.keys, "key", selection.key), names(usage.daily, "model", selection.model));
  // Without a key, only a gateway without keys responds.
  replace(status, !getKey() && anonymousNotice());
  replace(
    content,
    report({ usage, selection, measure: measure ?? usualMeasure(usage), onmeasure: (name) => (measure = name) }),
  );
  budgetSection.show(budgetList(budgets));
  limitSection.show(ownLimits(models));
}

/// Returns the measure of the charts if the user has chosen none: without prices, all costs are zero.
function usualMeasure({ total }) {
  return total.cost_micros > 0 ? "cost" : "calls";
}

/// The names that were seen, for the choice: a selection of one name hides the others.
const seen = { key: new Set(), model: new Set() };

function names(rows, member, selected) {
  if (selected === null) seen[member] = new Set();
  for (const row of rows) seen[member].add(row[member] ?? "");
  return [...seen[member]].sort();
}

async function download() {
  try {
    const { from, to } = toolbar.selection();
    const link = h("a", {
      href: URL.createObjectURL(await loadCsv(toolbar.selection())),
      download: `usage-${from}-${to}.csv`,
    });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  } catch (error) {
    toast(["usage.downloadFailed", { message: error.message }], { isError: true });
  }
}

function section(title, hint) {
  const body = h("div", {});
  const root = h(
    "section",
    { class: "section", hidden: true },
    h("div", { class: "section-head" }, h("h2", { t: title }), h("p", { class: "small muted", t: hint })),
    body,
  );
  return {
    root,
    show(...children) {
      root.hidden = false;
      replace(body, ...children);
    },
  };
}

function retry() {
  return h("p", { class: "retry" }, h("button", { class: "button", type: "button", t: "common.retry", onclick: load }));
}

document.addEventListener("keychange", () => {
  shown = null;
  toolbar.reset();
  load();
});
document.addEventListener("languagechange", show);
addEventListener("hashchange", () => {
  toolbar.setPeriod(fromFragment(location.hash));
  load();
});
await load();
reloadKeys = mountKeys(document.getElementById("usage-keys"));
