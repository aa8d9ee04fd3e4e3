// Creates, edits, rotates and revokes keys.
import { h } from "../dom.js";
import { setKey } from "../key.js";
import { confirmDialog, openDialog } from "../ui/dialog.js";
import { codeBlock } from "../ui/copy.js";
import { field, select } from "../ui/field.js";
import { toast } from "../ui/toast.js";
import { pathOfKey, send } from "./data.js";
import { formDialog } from "./form_dialog.js";
import { editKeyDialog } from "./key_form.js";

/// How long the present secret stays valid, in seconds. The gateway permits up to 7 days.
const OVERLAPS = { none: 0, hour: 3600, day: 86400, week: 604_800 };

/// Creates a key and shows its secret. Returns whether there is a new key.
export async function createKey() {
  const key = await editKeyDialog();
  if (key) await showSecret(key);
  return Boolean(key);
}

/// Edits a key. Returns whether it was saved.
export async function editKey(key) {
  const changed = await editKeyDialog(key);
  if (changed) toast(["keys.saved", { name: key.name }]);
  return Boolean(changed);
}

/// Replaces the secret of a key and shows the new one. Returns whether it was replaced.
export async function rotateKey({ name }) {
  const control = select(
    Object.entries(OVERLAPS).map(([overlap, seconds]) => ({ value: String(seconds), t: `keys.overlap.${overlap}` })),
    String(OVERLAPS.day),
  );
  const overlap = field({ name: "overlap_seconds", label: "keys.overlap", hint: "keys.overlap.hint", control });
  const rotated = await formDialog({
    title: ["keys.rotate.title", { name }],
    text: "keys.rotate.text",
    action: "keys.rotate.action",
    fields: [overlap],
    submit: () => send(pathOfKey(name, "rotate"), { overlap_seconds: Number(control.value) }),
  });
  if (!rotated) return false;
  // The key of this page: without its new secret, the next call would be refused.
  if (rotated.updated_by === name) setKey(rotated.secret);
  await showSecret(rotated);
  return true;
}

/// Asks, and revokes a key. Returns whether it was revoked.
export async function revokeKey({ name }) {
  const isConfirmed = await confirmDialog({
    title: ["keys.revoke.title", { name }],
    text: "keys.revoke.text",
    action: "keys.revoke.action",
    isDangerous: true,
  });
  if (!isConfirmed) return false;
  try {
    await send(pathOfKey(name, "revoke"), {});
    toast(["keys.revokedToast", { name }]);
    return true;
  } catch (error) {
    toast(["keys.revokeFailed", { message: error.message }], { isError: true });
    return false;
  }
}

/// Shows a new secret. No other response contains it.
function showSecret({ name, secret }) {
  const done = h("button", { class: "button button-primary", type: "button", t: "keys.secret.done" });
  return openDialog({
    title: ["keys.secret.title", { name }],
    body: (close) => {
      done.addEventListener("click", () => close());
      const code = codeBlock(secret, { label: "keys.secret" });
      code.classList.add("key-secret");
      return h(
        "div",
        { class: "stack" },
        h("p", { class: "notice notice-warn", t: "keys.secret.text" }),
        code,
        h("div", { class: "dialog-actions" }, done),
      );
    },
    focus: done,
  });
}
