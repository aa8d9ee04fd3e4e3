// The pictures that are edited, and the mask that limits the edit to a part of the first one.
import { h } from "../../dom.js";
import { icon } from "../../ui/icons.js";
import { pictureInput } from "../shared/pictures.js";
import { editMask } from "./mask_dialog.js";

/// The API's limit.
const MAX_PICTURES = 16;

/// Returns `{ element, pictures(), mask(), use(blob), takePicturesFrom(target), setEnabled(isEnabled) }`, and takes a listener `onchange`.
export function imageInput() {
  /// The mask belongs to one picture: `{ picture, operations, blob }`.
  let mask = null;
  const input = pictureInput({
    max: MAX_PICTURES,
    label: "images.input.add",
    onchange: () => {
      if (mask && input?.pictures()[0] !== mask.picture) mask = null;
      result?.onchange();
    },
    action: (picture, index) => index === 0 && maskButton(picture),
  });
  const hint = h("p", { class: "field-hint", t: "images.input.hint" });
  const unable = h("p", { class: "field-hint", t: "images.input.unable", hidden: true });
  const controls = h("div", { class: "stack" }, input.element, h("div", { class: "row" }, input.button), hint);
  const element = h(
    "fieldset",
    { class: "fieldset" },
    h("legend", { class: "field-label", t: "images.input" }),
    controls,
    unable,
  );
  let isEnabled = true;
  let result = null;

  function maskButton(picture) {
    const hasMask = mask?.picture === picture;
    return h(
      "button",
      {
        class: "button button-small mask-button",
        type: "button",
        onclick: async () => {
          const edited = await editMask(picture, hasMask ? mask.operations : []);
          if (edited) {
            mask = edited.blob ? { picture, ...edited } : null;
            input.add([]);
          }
          element.querySelector(".mask-button")?.focus();
        },
      },
      icon(hasMask ? "check" : "brush"),
      h("span", { t: hasMask ? "images.mask.change" : "images.mask" }),
    );
  }

  result = {
    element,
    onchange: () => {},
    pictures: () => (isEnabled ? input.pictures().map(({ blob }) => blob) : []),
    mask: () => (isEnabled ? (mask?.blob ?? null) : null),
    use(blob) {
      input.clear();
      input.add([blob]);
    },
    takePicturesFrom: input.takePicturesFrom,
    setEnabled(enabled) {
      isEnabled = enabled;
      controls.hidden = !enabled;
      unable.hidden = enabled;
    },
  };
  return result;
}
