// API keys and the ledger, for administrators.
import { h, replace } from "../dom.js";
import { getKey } from "../key.js";
import { icon } from "../ui/icons.js";
import { createKey, editKey, revokeKey, rotateKey } from "./actions.js";
import { loadPage } from "./data.js";
import { ledgerSection } from "./ledger.js";
import { keyList } from "./list.js";
import { pagedList } from "./paged_list.js";

/// Fills the part of the page for administrators. It stays hidden for other keys, and without a key. Returns a function that loads
/// the lists again.
export function mountKeys(root) {
  const revoked = h("input", { type: "checkbox" });
  const after = (action) => async (key) => {
    if (await action(key)) keys.load();
  };
  const actions = { edit: after(editKey), rotate: after(rotateKey), revoke: after(revokeKey) };
  const create = h(
    "button",
    { class: "button button-primary", type: "button", onclick: after(() => createKey()) },
    icon("plus"),
    h("span", { t: "keys.create" }),
  );
  const keys = pagedList({
    load: (after) => loadPage("keys", { include_revoked: revoked.checked && "true" }, after),
    view(entries) {
      reveal();
      return keyList(entries, actions);
    },
    onerror: hide,
  });
  revoked.addEventListener("change", () => keys.load());
  const ledger = ledgerSection();
  const section = h(
    "section",
    { class: "section" },
    h(
      "div",
      { class: "section-head" },
      h("h2", { t: "keys.title" }),
      h(
        "div",
        { class: "row" },
        h("label", { class: "checkbox" }, revoked, h("span", { t: "keys.showRevoked" })),
        create,
      ),
    ),
    h("p", { class: "small muted keys-hint", t: "keys.hint" }),
    keys.element,
  );

  /// The first list shows that the key is that of an administrator.
  function reveal() {
    if (ledger.element.isConnected) return;
    replace(root, section, ledger.element);
    root.hidden = false;
    ledger.load();
  }

  /// Handles the responses for which the section is hidden: it is not for this key (401, 403), or not at this port (404).
  function hide({ status }) {
    if (![401, 403, 404].includes(status)) {
      if (!section.isConnected) replace(root, section);
      root.hidden = false;
      return false;
    }
    replace(root, status === 404 && h("p", { class: "section small muted", t: "keys.elsewhere" }));
    root.hidden = status !== 404;
    return true;
  }

  function load() {
    replace(root);
    root.hidden = true;
    revoked.checked = false;
    keys.clear();
    ledger.clear();
    if (getKey()) keys.load();
  }

  document.addEventListener("keychange", load);
  document.addEventListener("languagechange", () => {
    keys.show();
    ledger.show();
  });
  load();
  return () => {
    if (!ledger.element.isConnected) return;
    keys.load();
    ledger.load();
  };
}
