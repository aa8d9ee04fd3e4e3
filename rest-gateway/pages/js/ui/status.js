// Badges, progress, errors and empty states.
import { h } from "../dom.js";
import { copyButton } from "./copy.js";

/// Returns a badge. `kind`: `good`, `warn`, `bad`, `busy`, or nothing. `text` is a key, or `[key, values]`.
export function badge(text, kind) {
  return h("span", { class: `badge ${kind ? `badge-${kind}` : ""}`, t: text });
}

/// Returns a progress bar. Its `value` is 0 to 100; without a value it is indeterminate. `label` is the key of its name.
export function progressBar(label) {
  return h("progress", { class: "progress", max: "100", tAttrs: { "aria-label": label } });
}

/// Returns a message about a failed call: the message of the gateway, the code, and the id of the request, which is in its log.
export function errorNotice(error) {
  const { code, param, status, requestId } = error;
  return h(
    "div",
    { class: "notice notice-bad", role: "alert" },
    h("p", { class: "notice-title", t: "error.title" }),
    h("p", {}, error.message),
    (status > 0 || code || requestId) &&
      h(
        "p",
        { class: "notice-details" },
        status > 0 && h("span", {}, `HTTP ${status}`),
        code && h("span", { class: "mono" }, param ? `${code} (${param})` : code),
        requestId &&
          h(
            "span",
            { class: "row" },
            h("span", { class: "mono" }, requestId),
            copyButton(() => requestId, { label: "error.copyRequestId" }),
          ),
      ),
  );
}

/// Returns the element that a list without entries shows. `title` and `text` are keys, `action` is a control.
export function emptyState(title, text, action) {
  return h("div", { class: "empty" }, h("p", { class: "empty-title", t: title }), text && h("p", { t: text }), action);
}
