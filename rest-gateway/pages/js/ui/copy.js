// Buttons that copy a text, and blocks of code with such a button.
import { h, replace } from "../dom.js";
import { icon } from "./icons.js";
import { toast } from "./toast.js";

/// Returns a button that copies the text that `text()` returns. `label` is the key of its name.
export function copyButton(text, { label = "common.copy", isSmall = true } = {}) {
  const button = h(
    "button",
    {
      class: `button button-quiet button-icon ${isSmall ? "button-small" : ""}`,
      type: "button",
      tAttrs: { "aria-label": label, title: label },
    },
    icon("copy"),
  );
  button.addEventListener("click", async () => {
    if (!(await copy(text()))) {
      toast("common.copyFailed", { isError: true });
      return;
    }
    toast("common.copied");
    replace(button, icon("check"));
    setTimeout(() => replace(button, icon("copy")), 1500);
  });
  return button;
}

/// Returns a block of code with a button to copy it. Long lines scroll; the block has the focus for the arrow keys.
export function codeBlock(code, { label = "common.code" } = {}) {
  const pre = h("pre", { tabindex: "0", role: "region", tAttrs: { "aria-label": label } }, h("code", {}, code));
  const button = copyButton(() => code);
  button.classList.add("code-copy");
  return h("div", { class: "code" }, pre, button);
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text);
  }
}

/// Copies without the clipboard API, which browsers offer to HTTPS and loopback pages only.
function copyBySelection(text) {
  const field = h("textarea", { class: "visually-hidden", readOnly: true, value: text });
  document.body.append(field);
  const focused = document.activeElement;
  field.select();
  const isCopied = document.execCommand("copy");
  field.remove();
  focused?.focus();
  return isCopied;
}
