// A dialog with a prompt that creates a video from another one.
import { requestJson } from "../api.js";
import { h, replace } from "../dom.js";
import { openDialog } from "../ui/dialog.js";
import { clearFieldErrors, field, showFieldError } from "../ui/field.js";
import { errorNotice } from "../ui/status.js";
import { newIdempotencyKey } from "./idempotency.js";

/// Opens the dialog and resolves to the created video, or to `undefined`.
///
/// `title`, `text` and `action` are keys. `fields` are further fields with `read()`. `path` is that of the call, and `json(members)`
/// its body, from the prompt and the members that the fields return. Errors are shown in the dialog, at their fields.
export function promptDialog({ title, text, action, prompt: initial, fields = [], path, json = (members) => members }) {
  const prompt = h("textarea", { class: "textarea", rows: "4", required: true, value: initial });
  const promptField = field({ name: "prompt", label: "video.prompt", control: prompt });
  const all = [promptField, ...fields];
  const notice = h("div", { hidden: true });
  const submit = h("button", { class: "button button-primary", t: action });
  const key = newIdempotencyKey();
  const send = async (close) => {
    clearFieldErrors(all);
    notice.hidden = true;
    submit.disabled = true;
    const members = Object.assign({ prompt: prompt.value.trim() }, ...fields.map((field) => field.read()));
    try {
      close(await requestJson(path, { json: json(members), headers: { "idempotency-key": key } }));
    } catch (error) {
      submit.disabled = false;
      if (showFieldError(all, error)) return;
      replace(notice, errorNotice(error));
      notice.hidden = false;
    }
  };
  return openDialog({
    title,
    body: (close) =>
      h(
        "form",
        {
          class: "stack",
          onsubmit(event) {
            event.preventDefault();
            if (!submit.disabled) send(close);
          },
        },
        h("p", { class: "small muted", t: text }),
        all.map(({ element }) => element),
        notice,
        h(
          "div",
          { class: "dialog-actions" },
          h("button", { class: "button", type: "button", t: "common.cancel", onclick: () => close() }),
          submit,
        ),
      ),
    focus: prompt,
  });
}
