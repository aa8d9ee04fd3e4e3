// Dialogs with fields, whose values are sent to the gateway.
import { h, replace } from "../dom.js";
import { openDialog } from "../ui/dialog.js";
import { clearFieldErrors } from "../ui/field.js";
import { errorNotice } from "../ui/status.js";

/// Opens a dialog. Resolves to what `submit()` returns, or to `undefined` if the dialog is cancelled.
///
/// `title`, `text` and `action` are keys, or `[key, values]`. `fields` are those of `ui/field.js`, and `content` the elements around
/// them. Errors are shown at the field that `fieldOf(error)` names, else above the buttons.
export function formDialog({ title, text, action, fields, content, submit, fieldOf = ({ param }) => param }) {
  const notice = h("div", { hidden: true });
  const button = h("button", { class: "button button-primary", t: action });
  const send = async (close) => {
    clearFieldErrors(fields);
    notice.hidden = true;
    button.disabled = true;
    try {
      close(await submit());
    } catch (error) {
      button.disabled = false;
      showError(error);
    }
  };
  const showError = (error) => {
    const name = fieldOf(error);
    const named = fields.find((field) => name && field.name === name);
    if (named) {
      named.setError(error.message);
      named.control.focus();
      return;
    }
    replace(notice, errorNotice(error));
    notice.hidden = false;
  };
  return openDialog({
    title,
    body: (close) =>
      h(
        "form",
        {
          class: "stack",
          novalidate: true,
          onsubmit(event) {
            event.preventDefault();
            if (!button.disabled) send(close);
          },
        },
        text && h("p", { class: "small muted", t: text }),
        content ?? fields.map(({ element }) => element),
        notice,
        h(
          "div",
          { class: "dialog-actions" },
          h("button", { class: "button", type: "button", t: "common.cancel", onclick: () => close() }),
          button,
        ),
      ),
    focus: fields[0]?.control,
  });
}
