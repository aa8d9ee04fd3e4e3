// Holds of the ledger, which is money reserved for calls and videos, and the dialog that resolves a hold.
import { h } from "../dom.js";
import { dateTime, money, relativeTime } from "../format.js";
import { field, select } from "../ui/field.js";
import { badge } from "../ui/status.js";
import { toast } from "../ui/toast.js";
import { pathOfResolution, send } from "./data.js";
import { formDialog } from "./form_dialog.js";

/// The states of a hold, and the kinds of their badges.
export const STATES = { outcome_unknown: "warn", in_progress: "busy", stopping: "busy", calls: "" };

/// Returns the holds as a list. `onresolve(hold)` is called for one whose outcome is unknown.
export function holdList(holds, onresolve) {
  if (holds.length === 0) return h("p", { class: "small muted", t: "keys.holds.none" });
  return h(
    "ul",
    { class: "card key-list", role: "list", tAttrs: { "aria-label": "keys.holds.title" } },
    holds.map((hold) => holdItem(hold, onresolve)),
  );
}

function holdItem(hold, onresolve) {
  const { id, key, team, state, amount, created_at: created } = hold;
  return h(
    "li",
    { class: "key hold", dataset: { hold: id } },
    h(
      "div",
      { class: "key-who" },
      h("h3", { class: "key-name" }, key),
      team && h("span", { class: "small muted", t: ["keys.ofTeam", { team }] }),
    ),
    h(
      "div",
      { class: "key-facts" },
      h(
        "p",
        { class: "key-limits numeric" },
        badge(`keys.state.${state}`, STATES[state]),
        h("span", { t: ["keys.holds.amount", { amount: money(amount) }] }),
      ),
      h(
        "p",
        { class: "key-history" },
        hold.video_id && h("span", { class: "mono" }, hold.video_id),
        created !== null &&
          h("span", { title: dateTime(created), t: ["keys.holds.since", { time: relativeTime(created) }] }),
      ),
    ),
    h(
      "div",
      { class: "key-actions" },
      state === "outcome_unknown" &&
        h("button", {
          class: "button button-small",
          type: "button",
          t: "keys.resolve",
          tAttrs: { "aria-label": ["keys.resolve.label", { id }] },
          onclick: () => onresolve(hold),
        }),
    ),
  );
}

/// Asks for the money that was spent, and resolves a hold. Returns whether it has ended.
export async function resolveHold({ id, amount }) {
  const outcome = field({
    name: "release",
    label: "keys.resolve.outcome",
    control: select([
      { value: "spent", t: "keys.resolve.spent" },
      { value: "nothing", t: "keys.resolve.nothing" },
    ]),
  });
  const cost = field({
    name: "cost",
    label: "keys.resolve.cost",
    hint: ["keys.resolve.cost.hint", { amount: money(amount) }],
    control: h("input", { class: "input", type: "text", inputmode: "decimal", autocomplete: "off", value: amount }),
  });
  const isReleased = () => outcome.control.value === "nothing";
  outcome.control.addEventListener("change", () => {
    cost.element.hidden = isReleased();
  });
  const resolved = await formDialog({
    title: "keys.resolve.title",
    text: ["keys.resolve.text", { id }],
    action: "keys.resolve",
    fields: [outcome, cost],
    submit: () => send(pathOfResolution(id), isReleased() ? { release: true } : { cost: cost.control.value.trim() }),
  });
  if (resolved) toast(["keys.resolved", { amount: money(resolved.cost) }]);
  return Boolean(resolved);
}
