// Builds the elements of a page.
import { translateElement } from "./i18n.js";

/// Names in `props` that are set as properties of the element, because the attribute of this name has another effect or none.
const PROPERTIES = new Set([
  "checked",
  "disabled",
  "hidden",
  "indeterminate",
  "muted",
  "open",
  "readOnly",
  "selected",
  "value",
]);

/// Creates an element.
///
/// Properties of `props`: `class`; `t: "key"` or `t: ["key", values]` for a translated text; `tAttrs: { title: "key" }` for
/// translated attributes; `onclick: f` and the like for listeners; `dataset: {}`; any other name is an attribute, where `true`
/// is the empty attribute, and `false`, `null` and `undefined` leave it out. Children are nodes, texts, or arrays of these;
/// `null`, `undefined` and `false` are skipped.
export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) set(element, name, value);
  append(element, children);
  if (props?.t || props?.tAttrs) translateElement(element);
  return element;
}

function set(element, name, value) {
  if (value === undefined || value === null) return;
  if (name === "t") {
    const [key, values] = Array.isArray(value) ? value : [value];
    element.dataset.i18n = key;
    if (values) element.dataset.i18nValues = JSON.stringify(values);
  } else if (name === "tAttrs") {
    element.dataset.i18nAttrs = JSON.stringify(value);
  } else if (name === "dataset") {
    Object.assign(element.dataset, value);
  } else if (name.startsWith("on") && typeof value === "function") {
    element.addEventListener(name.slice(2), value);
  } else if (PROPERTIES.has(name)) {
    element[name] = value;
  } else if (value !== false) {
    element.setAttribute(name, value === true ? "" : value);
  }
}

function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
}

/// Replaces the children of an element.
export function replace(element, ...children) {
  element.replaceChildren();
  append(element, children);
}

let lastId = 0;

/// Returns an id that no other element of the page has, for labels and descriptions.
export function uniqueId(prefix) {
  lastId += 1;
  return `${prefix}-${lastId}`;
}
