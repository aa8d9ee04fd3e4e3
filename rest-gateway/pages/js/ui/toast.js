// Short messages at the bottom of the page, which screen readers read out.
import { h } from "../dom.js";

/// How long a message stays, in milliseconds: long enough to read two lines.
const DURATION = 5000;

let region = null;

/// Shows a message: a key, or `[key, values]`.
export function toast(text, { isError = false } = {}) {
  if (!region) {
    region = h("div", { class: "toasts", role: "status", "aria-live": "polite" });
    document.body.append(region);
  }
  const message = h("div", { class: `toast ${isError ? "toast-bad" : ""}`, t: text });
  region.append(message);
  setTimeout(() => message.remove(), DURATION);
}
