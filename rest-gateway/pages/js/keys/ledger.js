// The ledger: its verification, and the list of holds.
import { h, replace, uniqueId } from "../dom.js";
import { money } from "../format.js";
import { select } from "../ui/field.js";
import { errorNotice } from "../ui/status.js";
import { loadPage, verifyLedger } from "./data.js";
import { holdList, resolveHold, STATES } from "./holds.js";
import { pagedList } from "./paged_list.js";

/// Returns `{ element, load(), show(), clear() }`.
export function ledgerSection() {
  const result = h("div", { class: "ledger-result", role: "status" });
  const verify = h("button", { class: "button", type: "button", t: "keys.verify" });
  let verification = null;
  verify.addEventListener("click", async () => {
    verify.disabled = true;
    try {
      verification = await verifyLedger();
      showVerification();
    } catch (error) {
      verification = null;
      replace(result, errorNotice(error));
    } finally {
      verify.disabled = false;
    }
  });
  const showVerification = () => replace(result, verification && verificationView(verification));

  const state = select([
    { value: "", t: "keys.holds.anyState" },
    ...Object.keys(STATES).map((value) => ({ value, t: `keys.state.${value}` })),
  ]);
  state.id = uniqueId("hold-state");
  const holds = pagedList({
    load: (after) => loadPage("ledger/holds", { state: state.value }, after),
    view: (entries) =>
      holdList(entries, async (hold) => {
        if (await resolveHold(hold)) holds.load();
      }),
  });
  state.addEventListener("change", () => holds.load());

  const element = h(
    "section",
    { class: "section" },
    h(
      "div",
      { class: "section-head" },
      h("h2", { t: "keys.ledger.title" }),
      h(
        "div",
        { class: "row" },
        h("label", { class: "visually-hidden", for: state.id, t: "keys.holds.state" }),
        h("div", { class: "hold-filter" }, state),
        verify,
      ),
    ),
    h("p", { class: "small muted keys-hint", t: "keys.ledger.hint" }),
    result,
    holds.element,
  );
  return {
    element,
    load: holds.load,
    show() {
      holds.show();
      if (verification) showVerification();
    },
    clear() {
      verification = null;
      replace(result);
      holds.clear();
    },
  };
}

function verificationView({ consistent, discrepancies }) {
  if (consistent) return h("p", { class: "notice notice-good", t: "keys.verify.consistent" });
  return h(
    "div",
    { class: "notice notice-bad" },
    h("p", { class: "notice-title", t: ["keys.verify.differs", { n: discrepancies.length }] }),
    h(
      "ul",
      { class: "numeric" },
      discrepancies.map(({ subject, stored, sum }) =>
        h("li", { t: ["keys.verify.figure", { subject, stored: money(stored), sum: money(sum) }] }),
      ),
    ),
  );
}
