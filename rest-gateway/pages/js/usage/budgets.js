// Budgets: what is spent and reserved of each limit.
import { h, uniqueId } from "../dom.js";
import { money, number, percent } from "../format.js";
import { t } from "../i18n.js";
import { badge } from "../ui/status.js";
import { svg } from "../ui/svg.js";

/// The shares of a limit from which a budget is marked.
const WARNING = 0.8;
const EXHAUSTED = 1;

/// The budgets that are shown at first. An administrator may see those of a thousand keys.
const MAX_SHOWN = 24;

/// Returns the budgets with the highest share first, or a text if there are none.
export function budgetList(budgets) {
  if (budgets.length === 0) return h("p", { class: "muted small", t: "usage.budgets.none" });
  const sorted = budgets.toSorted((left, right) => usedShare(right) - usedShare(left));
  const list = h("ul", { class: "budgets", role: "list" }, sorted.slice(0, MAX_SHOWN).map(budgetItem));
  if (sorted.length <= MAX_SHOWN) return list;
  const more = h("button", {
    class: "button",
    type: "button",
    t: ["usage.budgets.all", { count: number(sorted.length) }],
  });
  more.addEventListener("click", () => {
    list.append(...sorted.slice(MAX_SHOWN).map(budgetItem));
    more.remove();
  });
  return h("div", { class: "stack" }, list, h("p", {}, more));
}

/// Returns the share of the limit that is spent or reserved. A limit of zero is used up.
function usedShare({ limit_micros: limit, spent_micros: spent, reserved_micros: reserved }) {
  return limit > 0 ? (spent + reserved) / limit : 1;
}

function budgetItem(budget) {
  const { kind, name, period, limit_micros: limit } = budget;
  const spent = limit > 0 ? budget.spent_micros / limit : 1;
  const reserved = limit > 0 ? budget.reserved_micros / limit : 0;
  const used = usedShare(budget);
  const state = used >= EXHAUSTED ? "bad" : used >= WARNING ? "warn" : "good";
  const id = uniqueId("budget");
  const amounts = {
    spent: money(budget.spent),
    reserved: money(budget.reserved),
    remaining: money(budget.remaining),
    limit: money(budget.limit),
  };
  return h(
    "li",
    { class: `card budget budget-${state}` },
    h(
      "div",
      { class: "budget-head" },
      h(
        "p",
        { class: "budget-name", id },
        h("span", { class: "small muted", t: `usage.budgets.${kind}` }),
        h("span", {}, name),
        h("span", { class: "small muted", t: `usage.budgets.${period}` }),
      ),
      badge([`usage.budgets.${state}`, { share: percent(used) }], state),
    ),
    h(
      "div",
      {
        role: "meter",
        "aria-labelledby": id,
        "aria-valuemin": "0",
        "aria-valuemax": "100",
        "aria-valuenow": String(Math.min(Math.round(used * 100), 100)),
        "aria-valuetext": t("usage.budgets.value", amounts),
      },
      meter(spent, reserved),
    ),
    h(
      "dl",
      { class: "budget-amounts numeric" },
      ["spent", "reserved", "remaining", "limit"].map((name) =>
        h("div", {}, h("dt", { class: `budget-key-${name}`, t: `usage.budgets.${name}` }), h("dd", {}, amounts[name])),
      ),
    ),
  );
}

function meter(spent, reserved) {
  const first = Math.min(spent, 1) * 100;
  const second = Math.min(reserved * 100, 100 - first);
  return svg(
    "svg",
    { class: "budget-bar", viewBox: "0 0 100 1", preserveAspectRatio: "none" },
    svg("rect", { class: "budget-spent", x: 0, y: 0, width: first, height: 1 }),
    svg("rect", { class: "budget-reserved", x: first, y: 0, width: second, height: 1 }),
  );
}
