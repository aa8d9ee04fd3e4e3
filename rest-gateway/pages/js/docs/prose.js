// Texts of the OpenAPI document, which are English and have code between backticks.
import { h } from "../dom.js";

/// Returns a paragraph. `lang` tells screen readers and fonts that it is English on the Chinese page too.
export function prose(text) {
  return h("p", { class: "prose", lang: "en" }, inline(text));
}

/// Returns the nodes of a text.
export function inline(text) {
  return text
    .split(/`([^`]+)`/)
    .map((part, index) => (index % 2 === 1 ? h("code", { class: "code-inline" }, part) : part));
}
