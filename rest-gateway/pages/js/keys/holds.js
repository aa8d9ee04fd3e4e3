// Holds of the ledger: reserved money, and the dialog that resolves a hold.
import { h } from "../dom.js";
import { dateTime, money, relativeTime } from "../format.js";
import { badge } from "../ui/status.js";
import { toast } from "../ui/toast.js";
import { field, select } from "../video/field.js";
import { pathOfResolution, send } from "./data.js";
import { formDialog } from "./form_dialog.js";

/// The states of a hold, and the kinds of their badges.
export const STATES = { outcome_unknown: "warn", in_progress: "busy", stopping: "busy", calls: "" };

/// Returns the holds as a table. `onresolve(hold)` is called for one whose outcome is unknown.
export function holdTable(holds, onresolve) {
  if (holds.length === 0) return h("p", { class: "small muted", t: "keys.holds.none" });
  const head = ["key", "state", "amount", "since"].map((name) =>
    h("th", { scope: "col", class: name === "amount" ? "numeric" : "", t: `keys.holds.${name}` }),
  );
  return h(
    "div",
    { class: "table-wrap", tabindex: "0", role: "region", tAttrs: { "aria-label": "keys.holds.title" } },
    h(
      "table",
      { class: "table holds" },
      h("caption", { class: "visually-hidden", t: "keys.holds.title" }),
      h("thead", {}, h("tr", {}, head, h("td", {}))),
      h(
        "tbody",
        {},
        holds.map((hold) => holdRow(hold, onresolve)),
      ),
    ),
  );
}

function holdRow(hold, onresolve) {
  const { id, key, team, state, amount, created_at: created } = hold;
  return h(
    "tr",
    { dataset: { hold: id } },
    h(
      "th",
      { scope: "row" },
      key,
      team && h("span", { class: "hold-team", t: ["keys.ofTeam", { team }] }),
      hold.video_id && h("span", { class: "hold-video mono" }, hold.video_id),
    ),
    h("td", {}, badge(`keys.state.${state}`, STATES[state])),
    h("td", { class: "numeric" }, money(amount)),
    h("td", { title: created === null ? null : dateTime(created) }, created === null ? "" : relativeTime(created)),
    h(
      "td",
      { class: "hold-action" },
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

/// Asks what was spent, and resolves a hold. Returns whether it has ended.
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
