// The API key. It is kept in the session storage of the tab only, and sent to the gateway of the page only.
import { url } from "./base.js";
import { h } from "./dom.js";
import { openDialog } from "./ui/dialog.js";

const NAME = "triptych.key";

/// The key, if the browser blocks the session storage.
let fallback = "";

/// Returns the API key, or an empty text.
export function getKey() {
  try {
    return sessionStorage.getItem(NAME) ?? "";
  } catch {
    return fallback;
  }
}

/// Stores the API key, or forgets it if it is empty. Then `keychange` is dispatched on the document.
export function setKey(key) {
  try {
    if (key) sessionStorage.setItem(NAME, key);
    else sessionStorage.removeItem(NAME);
  } catch {
    fallback = key;
  }
  document.dispatchEvent(new CustomEvent("keychange"));
}

let open = null;

/// Opens the dialog for the API key, and resolves to whether there is a new one. `rejected` is a key that the gateway has refused.
/// Calls that fail at the same time share one dialog.
export function askForKey({ rejected = "" } = {}) {
  // Another call has led to a new key meanwhile.
  if (rejected !== getKey()) return Promise.resolve(true);
  open ??= show(Boolean(rejected)).finally(() => {
    open = null;
  });
  return open;
}

/// Opens the dialog to change or forget the key.
export function editKey() {
  open ??= show(false).finally(() => {
    open = null;
  });
  return open;
}

function show(isRejected) {
  const error = h("p", {
    id: "key-error",
    class: "field-error",
    role: "alert",
    hidden: !isRejected,
    t: "key.rejected",
  });
  const input = h("input", {
    id: "key-input",
    class: "input mono",
    type: "password",
    autocomplete: "off",
    spellcheck: "false",
    "aria-describedby": "key-hint key-error",
    "aria-invalid": String(isRejected),
    required: true,
    value: isRejected ? "" : getKey(),
  });
  const submit = h("button", { class: "button button-primary", t: "key.use" });
  let changed = false;
  let isOpen = true;
  const dialog = openDialog({
    title: "key.title",
    body: (close) =>
      h(
        "form",
        {
          class: "stack",
          onsubmit: async (event) => {
            event.preventDefault();
            const key = input.value.trim();
            if (!key) return;
            submit.disabled = true;
            const isAccepted = await check(key);
            // Cancelled while the gateway checked it.
            if (!isOpen) return;
            submit.disabled = false;
            error.hidden = isAccepted;
            input.setAttribute("aria-invalid", String(!isAccepted));
            if (!isAccepted) {
              input.focus();
              return;
            }
            changed = true;
            setKey(key);
            close();
          },
        },
        h(
          "div",
          { class: "field" },
          h("label", { class: "field-label", for: "key-input", t: "key.label" }),
          input,
          error,
          h("p", { id: "key-hint", class: "field-hint", t: "key.hint" }),
        ),
        h(
          "div",
          { class: "dialog-actions" },
          getKey() &&
            h("button", {
              class: "button button-quiet",
              type: "button",
              t: "key.forget",
              onclick: () => {
                setKey("");
                close();
              },
            }),
          h("button", { class: "button", type: "button", t: "common.cancel", onclick: () => close() }),
          submit,
        ),
      ),
    focus: input,
  });
  return dialog.then(() => {
    isOpen = false;
    return changed;
  });
}

/// Returns whether the gateway accepts a key. It does not if it responds with 401, or if the key has characters that no header can have.
async function check(key) {
  let headers;
  try {
    headers = new Headers({ authorization: `Bearer ${key}` });
  } catch {
    return false;
  }
  try {
    const response = await fetch(url("v1/models"), { headers, cache: "no-store" });
    return response.status !== 401;
  } catch {
    return true;
  }
}
