// Controls of the forms, with a label and a hint.
import { h, replace, uniqueId } from "../../dom.js";
import { t } from "../../i18n.js";

/// Returns a control with its label. `label` and `hint` are keys of texts, or `[key, values]`.
export function labelledControl(label, control, { hint, extra } = {}) {
  control.id ||= uniqueId("field");
  const hintId = hint && uniqueId("hint");
  if (hint) control.setAttribute("aria-describedby", hintId);
  return h(
    "div",
    { class: "field" },
    h("label", { class: "field-label", for: control.id, t: label }),
    control,
    extra,
    hint && h("p", { class: "field-hint", id: hintId, t: hint }),
  );
}

/// The value of the entry "Other…" of a `choiceField`, which no other value equals.
const OTHER = "\u0000other";

/// Returns a select that also takes other values, in a text field: `{ element, value(), set(value), setOptions(options) }`.
/// `options` are `{ value, text }`, or `{ value, t }` with the key of a text. `otherLabel` is the key of the name of the text field.
export function choiceField(label, { options = [], hint, otherLabel, placeholder, onchange = () => {} }) {
  const select = h("select", { class: "select" });
  const other = h("input", {
    class: "input mono",
    hidden: true,
    spellcheck: "false",
    autocomplete: "off",
    placeholder,
    tAttrs: { "aria-label": otherLabel },
  });
  let known = [];
  const show = () => {
    other.hidden = select.value !== OTHER;
  };
  const value = () => (select.value === OTHER ? other.value.trim() : select.value);
  const set = (wanted) => {
    const isKnown = known.includes(wanted);
    select.value = isKnown ? wanted : OTHER;
    if (!isKnown) other.value = wanted;
    show();
  };
  const setOptions = (next) => {
    const before = select.options.length > 0 ? value() : null;
    known = next.map((option) => option.value);
    replace(
      select,
      next.map((option) => h("option", { value: option.value, t: option.t }, option.text)),
      h("option", { value: OTHER, t: "playground.other" }),
    );
    if (before === null || before === "") select.selectedIndex = 0;
    else set(before);
    show();
  };
  select.addEventListener("change", () => {
    show();
    if (!other.hidden) other.focus();
    onchange();
  });
  other.addEventListener("input", onchange);
  setOptions(options);
  return { element: labelledControl(label, select, { hint, extra: other }), value, set, setOptions };
}

/// Returns a select with fixed options, `{ value, t }` or `{ value, text }`.
export function selectOf(options, { value, onchange } = {}) {
  const select = h(
    "select",
    { class: "select", onchange },
    options.map((option) => h("option", { value: option.value, t: option.t }, option.text)),
  );
  if (value !== undefined) select.value = value;
  return select;
}

/// Checks a text area with JSON when it is left: shows what is wrong, and returns `{ element, value() }`. `value()` is the parsed
/// value, `undefined` for an empty text, and throws an `Error` with the message for the user. `check(value)` returns the key of a
/// text if the JSON is not what is needed.
export function jsonField(label, { hint, placeholder, rows = 6, check = () => null, oninput }) {
  const errorId = uniqueId("error");
  const error = h("p", { class: "field-error", id: errorId, role: "alert", hidden: true });
  const area = h("textarea", { class: "textarea mono small", rows, placeholder, spellcheck: "false", oninput });
  const element = labelledControl(label, area, { hint, extra: error });
  area.setAttribute("aria-describedby", `${area.getAttribute("aria-describedby") ?? ""} ${errorId}`.trim());
  const value = () => {
    if (area.value.trim() === "") return undefined;
    let parsed;
    try {
      parsed = JSON.parse(area.value);
    } catch (failure) {
      throw new Error(t("playground.json.invalid", { message: failure.message }));
    }
    const problem = check(parsed);
    if (problem) throw new Error(t(problem));
    return parsed;
  };
  const validate = () => {
    let problem = "";
    try {
      value();
    } catch (failure) {
      problem = failure.message;
    }
    error.hidden = !problem;
    if (error.textContent !== problem) error.textContent = problem;
    area.setAttribute("aria-invalid", String(Boolean(problem)));
    return !problem;
  };
  area.addEventListener("blur", validate);
  area.addEventListener("input", () => {
    if (!error.hidden) validate();
  });
  return { element, area, value, validate };
}
