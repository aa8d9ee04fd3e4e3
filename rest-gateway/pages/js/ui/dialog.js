// Modal dialogs.
import { h, uniqueId } from "../dom.js";

/// Opens a modal dialog and resolves to the value that it is closed with, or to `undefined` if the user dismisses it.
///
/// `title` is the key of its title, or `[key, values]`. `body(close)` returns its content, and calls `close(value)`. `focus` is the
/// element that has the focus at first. The browser keeps the focus inside and returns it afterwards.
export function openDialog({ title, body, focus }) {
  return new Promise((resolve) => {
    let result;
    const id = uniqueId("dialog");
    const dialog = h("dialog", { class: "dialog", "aria-labelledby": id });
    const close = (value) => {
      result = value;
      dialog.close();
    };
    dialog.append(h("div", { class: "dialog-body" }, h("h2", { id, t: title }), body(close)));
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(result);
    });
    document.body.append(dialog);
    dialog.showModal();
    focus?.focus();
  });
}

/// Asks a question and resolves to whether the user has confirmed. `text` and `action` are keys, or `[key, values]`.
export async function confirmDialog({ title, text, action, isDangerous = false }) {
  const cancel = h("button", { class: "button", type: "button", t: "common.cancel" });
  const confirmed = await openDialog({
    title,
    body: (close) => {
      cancel.addEventListener("click", () => close(false));
      const confirm = h("button", {
        class: `button ${isDangerous ? "button-danger" : "button-primary"}`,
        type: "button",
        t: action,
        onclick: () => close(true),
      });
      return h("div", { class: "stack" }, h("p", { t: text }), h("div", { class: "dialog-actions" }, cancel, confirm));
    },
    focus: cancel,
  });
  return confirmed === true;
}
