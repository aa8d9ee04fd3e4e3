// The list of keys.
import { h } from "../dom.js";
import { badge, emptyState } from "../ui/status.js";
import { keyHistory, limitsSummary } from "./summary.js";

/// Returns the keys as a list. `actions` are the functions `edit`, `rotate` and `revoke`, called with the key.
export function keyList(keys, actions) {
  if (keys.length === 0) return emptyState("keys.none", "keys.none.text");
  return h(
    "ul",
    { class: "card key-list", role: "list", tAttrs: { "aria-label": "keys.title" } },
    keys.map((key) => keyItem(key, actions)),
  );
}

function keyItem(key, actions) {
  const isChangeable = key.origin === "stored" && key.revoked_at === null;
  return h(
    "li",
    { class: `key ${key.revoked_at === null ? "" : "is-revoked"}`, dataset: { key: key.name } },
    h(
      "div",
      { class: "key-who" },
      h("h3", { class: "key-name" }, key.name),
      key.team && h("span", { class: "small muted", t: ["keys.ofTeam", { team: key.team }] }),
      h("div", { class: "row" }, badges(key)),
    ),
    h("div", { class: "key-facts" }, limitsSummary(key.limits), keyHistory(key)),
    h(
      "div",
      { class: "key-actions" },
      isChangeable && ["edit", "rotate", "revoke"].map((name) => action(name, key, actions[name])),
    ),
  );
}

function badges({ admin, priority, origin, revoked_at: revoked, expires_at: expires }) {
  const isExpired = expires !== null && expires <= Date.now() / 1000;
  return [
    admin && badge("keys.admin", "busy"),
    priority !== "normal" && badge(`keys.badge.${priority}`),
    revoked !== null && badge("keys.revoked", "bad"),
    revoked === null && isExpired && badge("keys.expired", "warn"),
    origin === "configuration" && badge("keys.configuration"),
  ];
}

function action(name, key, onclick) {
  return h("button", {
    class: `button button-quiet button-small ${name === "revoke" ? "key-revoke" : ""}`,
    type: "button",
    t: `keys.${name}`,
    tAttrs: { "aria-label": [`keys.${name}.label`, { name: key.name }] },
    onclick: () => onclick(key),
  });
}
