// Fields of forms: label, control, hint, and the error that the gateway reports for the member of the request.
import { h, replace, uniqueId } from "../dom.js";

/// Returns `{ name, element, control, setError }` around a control. `name` is the member of the request; `label` and `hint` are keys,
/// or `[key, values]`. `setError(text)` shows an error at the field, and `setError(null)` removes it.
export function field({ name, label, hint, control, isGroup = false }) {
  const id = uniqueId(name);
  control.id = id;
  const error = h("p", { id: `${id}-error`, class: "field-error", role: "alert", hidden: true });
  const labelId = `${id}-label`;
  const describedBy = [hint && `${id}-hint`, error.id].filter(Boolean).join(" ");
  control.setAttribute("aria-describedby", describedBy);
  if (isGroup) {
    control.setAttribute("role", "group");
    control.setAttribute("aria-labelledby", labelId);
  }
  const element = h(
    "div",
    { class: "field", dataset: { field: name } },
    isGroup
      ? h("span", { id: labelId, class: "field-label", t: label })
      : h("label", { id: labelId, class: "field-label", for: id, t: label }),
    control,
    error,
    hint && h("p", { id: `${id}-hint`, class: "field-hint", t: hint }),
  );
  return {
    name,
    element,
    control,
    setError(text) {
      error.hidden = text === null;
      replace(error, text ?? "");
      if (!isGroup) control.setAttribute("aria-invalid", String(text !== null));
    },
  };
}

/// Returns a select. Options are `{ value, text }`, or `{ value, t }` with the key of a text.
export function select(options, selected = "") {
  const control = h(
    "select",
    { class: "select" },
    options.map(({ value, text, t }) => h("option", { value, t }, text)),
  );
  control.value = selected;
  if (control.selectedIndex < 0) control.selectedIndex = 0;
  return control;
}

/// Shows an error of the gateway at the field that its `param` names, and returns whether there is such a field in the page.
export function showFieldError(fields, error) {
  const name = error.param?.split(/[.[]/)[0];
  const named = fields.find(
    (field) => name && (field.name === name || field.aliases?.includes(name)) && field.element.isConnected,
  );
  named?.setError(error.message, error.param);
  return Boolean(named);
}

/// Removes the errors of all fields.
export function clearFieldErrors(fields) {
  for (const field of fields) field.setError(null);
}
