// The dialog that creates or edits a key.
import { h } from "../dom.js";
import { field, select } from "../ui/field.js";
import { pathOfKey, send } from "./data.js";
import { formDialog } from "./form_dialog.js";

const BUDGETS = ["budget_per_day", "budget_per_month", "budget_total"];
const PRIORITIES = ["high", "normal", "low"];
const COUNTS = ["requests_per_minute", "tokens_per_minute", "concurrent_calls", "jobs_in_flight"];

/// Opens the dialog for a new key, or for `key`. Resolves to the key that the gateway returns, or to `undefined` if the dialog is cancelled.
export function editKeyDialog(key = null) {
  const name = key ? null : input("name", "", { hint: "keys.form.name.hint", isMono: true });
  const members = [
    input("team", key?.team ?? "", { hint: "keys.form.team.hint", read: (text) => text || null }),
    expiry(key?.expires_at ?? null),
    priority(key?.priority ?? "normal"),
    administrator(key?.admin ?? false),
  ];
  const models = input("models", key?.limits.models.join(", ") ?? "", {
    hint: "keys.form.models.hint",
    inLimits: true,
    isMono: true,
    read: (text) => text.split(/[\s,]+/).filter(Boolean),
  });
  const budgets = BUDGETS.map((name) =>
    input(name, key?.limits[name] ?? "", { inLimits: true, mode: "decimal", read: (text) => text || null }),
  );
  const counts = COUNTS.map((name) =>
    input(name, String(key?.limits[name] || ""), { inLimits: true, mode: "numeric", read: count }),
  );
  const limits = [models, ...budgets, ...counts];
  const fields = [...(name ? [name] : []), ...members, ...limits];
  const element = ({ element }) => element;
  const [team, expires, priorityField, admin] = members;
  return formDialog({
    title: key ? ["keys.edit.title", { name: key.name }] : "keys.create.title",
    text: key ? "keys.edit.text" : null,
    action: key ? "keys.save" : "keys.create",
    fields,
    content: [
      name?.element,
      h("div", { class: "key-pair key-members" }, team.element, expires.element),
      priorityField.element,
      admin.element,
      h("h3", { class: "key-group", t: "keys.form.limits" }),
      models.element,
      h("div", { class: "key-triple" }, budgets.map(element)),
      h("div", { class: "key-pair" }, counts.map(element)),
    ],
    submit: () => submit({ key, name, members, limits }),
    // `key_exists` has no `param`. An invalid name of a model is `limits.models[0]`, and all names are in one field.
    fieldOf: ({ code, param }) => (code === "key_exists" ? "name" : param?.replace(/\[\d+\]$/, "")),
  });
}

/// Sends all members of a new key, and the changed members of an existing one.
async function submit({ key, name, members, limits }) {
  const read = (fields) =>
    Object.fromEntries(
      fields.filter((field) => !key || field.isChanged()).map((field) => [field.member, field.read()]),
    );
  const body = read(members);
  const changedLimits = read(limits);
  if (Object.keys(changedLimits).length > 0) body.limits = changedLimits;
  if (!key) return send("keys", { name: name.read(), ...body });
  return Object.keys(body).length > 0 ? send(pathOfKey(key.name), body) : key;
}

/// Returns the number that was entered. Other text is sent as it is, so that the error of the gateway names what it expects.
function count(text) {
  if (text === "") return 0;
  return /^\d+$/.test(text) ? Number(text) : text;
}

function input(member, value, { hint, inLimits = false, isMono = false, mode, read = (text) => text } = {}) {
  const control = h("input", {
    class: `input ${isMono ? "mono" : ""}`,
    type: "text",
    inputmode: mode,
    spellcheck: "false",
    autocomplete: "off",
    value,
  });
  const name = inLimits ? `limits.${member}` : member;
  return withMember(field({ name, label: `keys.form.${member}`, hint, control }), member, () =>
    read(control.value.trim()),
  );
}

function expiry(expiresAt) {
  const control = h("input", {
    class: "input",
    type: "datetime-local",
    value: expiresAt === null ? "" : localTime(expiresAt),
  });
  const view = field({ name: "expires_at", label: "keys.form.expires_at", hint: "keys.form.expires_at.hint", control });
  return withMember(view, "expires_at", () =>
    control.value ? Math.floor(new Date(control.value).getTime() / 1000) : null,
  );
}

/// Returns Unix seconds as the value of a control for local date and time.
function localTime(unixSeconds) {
  const date = new Date(unixSeconds * 1000);
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

function priority(selected) {
  const control = select(
    PRIORITIES.map((value) => ({ value, t: `keys.priority.${value}` })),
    selected,
  );
  const view = field({ name: "priority", label: "keys.form.priority", hint: "keys.form.priority.hint", control });
  return withMember(view, "priority", () => control.value);
}

function administrator(isAdmin) {
  const control = h("input", { type: "checkbox", checked: isAdmin });
  const element = h("label", { class: "checkbox" }, control, h("span", { t: "keys.form.admin" }));
  return withMember({ name: "admin", element, control, setError: () => {} }, "admin", () => control.checked);
}

/// Adds to a field the `member` of the request that it sets, `read()`, which returns the value that is entered, and `isChanged()`, whether
/// that differs from the value at first.
function withMember(view, member, read) {
  const before = JSON.stringify(read());
  return { ...view, member, read, isChanged: () => JSON.stringify(read()) !== before };
}
