// The controls above the charts: period, key, model, reload, and download.
import { h, replace, uniqueId } from "../dom.js";
import { t } from "../i18n.js";
import { icon } from "../ui/icons.js";
import { daysOf, PERIODS, today } from "./period.js";

/// The value of an option for all keys or models; no name contains a space.
const ALL = " all";

/// Shows the controls. Returns `{ selection(), setPeriod(value), reset(), setNames(keys, models), setBusy(isBusy) }`.
/// `onchange(selection)` gets `{ period, from, to, key, model }`.
export function mountToolbar(root, { selection, onchange, onreload, ondownload }) {
  let current = { ...selection, key: null, model: null };
  const change = (changes) => {
    current = { ...current, ...changes };
    show();
    onchange(current);
  };

  const period = select("usage.period", (value) =>
    change({ period: value, ...daysOf(value, { from: current.from, to: current.to }) }),
  );
  const from = day("usage.from", () => range());
  const to = day("usage.to", () => range());
  const key = select("usage.key", (value) => change({ key: value === ALL ? null : value }));
  const model = select("usage.model", (value) => change({ model: value === ALL ? null : value }));
  const reload = h(
    "button",
    {
      class: "button button-icon",
      type: "button",
      tAttrs: { "aria-label": "usage.reload", title: "usage.reload" },
      onclick: onreload,
    },
    icon("refresh"),
  );
  const download = h(
    "button",
    { class: "button", type: "button", onclick: ondownload },
    icon("download"),
    h("span", { t: "usage.download" }),
  );
  replace(
    period.control,
    PERIODS.map((name) => h("option", { value: name, t: `usage.period.${name}` })),
  );
  root.append(
    h(
      "div",
      { class: "toolbar" },
      [period, from, to, key, model].map(({ field }) => field),
      h("div", { class: "toolbar-actions" }, reload, download),
    ),
  );

  function range() {
    const [first, last] = [from.control.value, to.control.value];
    const isValid = first !== "" && last !== "" && first <= last;
    to.control.setCustomValidity(isValid ? "" : t("usage.invalidRange"));
    if (isValid) change({ from: first, to: last });
    else to.control.reportValidity();
  }

  function show() {
    const isRange = current.period === "range";
    period.control.value = current.period;
    from.field.hidden = !isRange;
    to.field.hidden = !isRange;
    from.control.value = current.from;
    to.control.value = current.to;
    from.control.max = today();
    to.control.max = today();
  }

  function fill({ field, control }, names, selected) {
    const values = selected === null || names.includes(selected) ? names : [...names, selected];
    replace(
      control,
      h("option", { value: ALL, t: "usage.all" }),
      values.map((name) => h("option", { value: name, t: name === "" ? "usage.noKey" : undefined }, name || null)),
    );
    control.value = selected ?? ALL;
    field.hidden = values.length < 2 && selected === null;
  }

  show();
  fill(key, [], null);
  fill(model, [], null);
  return {
    /// Returns the selection.
    selection: () => current,
    /// Sets the period, without a call of `onchange`.
    setPeriod(value) {
      current = { ...current, ...value };
      show();
    },
    /// Selects all keys and models, for another caller.
    reset() {
      current = { ...current, key: null, model: null };
    },
    /// Sets the keys and models to select from.
    setNames(keys, models) {
      fill(key, keys, current.key);
      fill(model, models, current.model);
    },
    setBusy(isBusy) {
      reload.disabled = isBusy;
    },
  };
}

function select(label, onselect) {
  const id = uniqueId("select");
  const control = h("select", { class: "select", id, onchange: () => onselect(control.value) });
  return { control, field: field(id, label, control) };
}

function day(label, onchange) {
  const id = uniqueId("day");
  const control = h("input", { class: "input numeric", type: "date", id, required: true, onchange });
  return { control, field: field(id, label, control) };
}

function field(id, label, control) {
  return h("div", { class: "field" }, h("label", { class: "field-label", for: id, t: label }), control);
}
