// The box in which a message is written, with its pictures.
import { h, replace, uniqueId } from "../../dom.js";
import { icon } from "../../ui/icons.js";
import { blobOfDataUrl, dataUrl, pictureInput } from "../shared/pictures.js";

/// The most pictures of a message. The API takes more, but the conversation is sent with every call.
const MAX_PICTURES = 8;

/// Returns `{ element, takePicturesFrom(target), edit(turn, index), stopEditing(), setRunning(isRunning), focus() }`.
/// `onsend({ text, pictures, edited })` gets the pictures as `data:` URLs, and in `edited` the index of the message that is replaced,
/// or null. It returns whether the message is sent.
export function composer({ onsend, onstop }) {
  const id = uniqueId("message");
  const area = h("textarea", {
    id,
    class: "textarea composer-text",
    rows: "2",
    tAttrs: { placeholder: "chat.message.placeholder" },
    onkeydown: keydown,
  });
  const pictures = pictureInput({ max: MAX_PICTURES, label: "chat.attach" });
  const submit = h("button", { class: "button button-primary" });
  const editing = h(
    "p",
    { class: "composer-editing small", hidden: true, role: "status" },
    h("span", { t: "chat.editing" }),
    h("button", {
      class: "button button-quiet button-small",
      type: "button",
      t: "common.cancel",
      onclick: () => {
        stopEditing();
        area.focus();
      },
    }),
  );
  const form = h(
    "form",
    { class: "composer", onsubmit: submitted },
    editing,
    h("label", { class: "visually-hidden", for: id, t: "chat.message" }),
    area,
    pictures.element,
    h(
      "div",
      { class: "row spread" },
      h("div", { class: "row" }, pictures.button, h("span", { class: "composer-hint small muted", t: "chat.keys" })),
      submit,
    ),
  );
  let edited = null;
  let isRunning = false;

  function isEmpty() {
    return area.value.trim() === "" && pictures.pictures().length === 0;
  }

  async function submitted(event) {
    event.preventDefault();
    if (isRunning) {
      onstop();
      return;
    }
    if (isEmpty()) {
      area.focus();
      return;
    }
    const text = area.value.trim();
    const urls = await Promise.all(pictures.pictures().map(({ blob }) => dataUrl(blob)));
    if (onsend({ text, pictures: urls, edited })) stopEditing();
  }

  /// Enter sends the message. It belongs to the text with the shift key, while an input method composes a word, and on touch screens,
  /// whose keyboards cannot combine the two keys.
  function keydown(event) {
    const isText = event.shiftKey || event.isComposing || matchMedia("(pointer: coarse)").matches;
    if (event.key !== "Enter" || isText || isRunning) return;
    event.preventDefault();
    form.requestSubmit();
  }

  function setRunning(running) {
    isRunning = running;
    replace(submit, icon(running ? "stop" : "play"), h("span", { t: running ? "chat.stop" : "chat.send" }));
    submit.classList.toggle("button-primary", !running);
  }

  function edit(turn, index) {
    stopEditing();
    edited = index;
    editing.hidden = false;
    area.value = turn.text;
    pictures.add(turn.pictures.map(blobOfDataUrl));
    area.focus();
  }

  function stopEditing() {
    edited = null;
    editing.hidden = true;
    area.value = "";
    pictures.clear();
  }

  setRunning(false);
  return {
    element: form,
    takePicturesFrom: pictures.takePicturesFrom,
    edit,
    stopEditing,
    setRunning,
    focus: () => area.focus(),
  };
}
