// The dialog in which a mask is painted on a picture, with the pointer or by numbers.
import { h, uniqueId } from "../../dom.js";
import { icon } from "../../ui/icons.js";
import { openDialog } from "../../ui/dialog.js";
import { labelledControl } from "../shared/controls.js";
import { MaskDrawing } from "./mask_drawing.js";

/// The size of the brush, as a share of the shorter side of the picture.
const BRUSH = { min: 0.01, max: 0.4, initial: 0.1 };

/// Lets the user paint a mask, beginning with earlier operations. Resolves to `{ operations, blob }` with the PNG, where `blob` is null
/// if nothing is painted, or to `undefined` if the user cancels.
export async function editMask(picture, operations) {
  const image = h("img", { src: picture.url, tAttrs: { alt: ["playground.pictures.alt", { index: 1 }] } });
  await image.decode();
  const drawing = new MaskDrawing({ width: image.naturalWidth, height: image.naturalHeight }, operations);
  return openDialog({ title: "images.mask.title", body: (close) => dialogBody(image, drawing, close) });
}

function dialogBody(image, drawing, close) {
  const modes = uniqueId("mode");
  const isErasing = h("input", { type: "radio", name: modes });
  const shorter = Math.min(drawing.width, drawing.height);
  const brush = h("input", {
    class: "range",
    type: "range",
    min: Math.max(1, Math.round(shorter * BRUSH.min)),
    max: Math.max(2, Math.round(shorter * BRUSH.max)),
    value: String(Math.max(1, Math.round(shorter * BRUSH.initial))),
  });
  const undo = h("button", { class: "button", type: "button" }, icon("undo"), h("span", { t: "images.mask.undo" }));
  const clear = h("button", { class: "button", type: "button" }, icon("trash"), h("span", { t: "images.mask.clear" }));
  const show = () => {
    undo.disabled = drawing.operations.length === 0;
    clear.disabled = undo.disabled;
  };
  undo.addEventListener("click", () => {
    drawing.undo();
    show();
  });
  clear.addEventListener("click", () => {
    drawing.clear();
    show();
  });
  paintWithPointer(drawing, () => ({ size: Number(brush.value), isErasing: isErasing.checked }), show);
  drawing.canvas.className = "mask-canvas";
  // The colour comes from the style, which the canvas has after it is in the document.
  requestAnimationFrame(() => drawing.redraw());
  show();
  return h(
    "form",
    {
      class: "stack mask-editor panel-image",
      onsubmit: async (event) => {
        event.preventDefault();
        const isPainted = drawing.operations.some((operation) => !operation.isErasing);
        close({ operations: drawing.operations, blob: isPainted ? await drawing.mask() : null });
      },
      onkeydown: (event) => {
        if (event.key !== "z" || !(event.ctrlKey || event.metaKey) || event.target.type === "number") return;
        event.preventDefault();
        undo.click();
      },
    },
    h("p", { class: "small muted", t: "images.mask.text" }),
    h("div", { class: "mask-stage" }, image, drawing.canvas),
    h(
      "div",
      { class: "mask-tools" },
      h(
        "fieldset",
        { class: "fieldset row" },
        h("legend", { class: "visually-hidden", t: "images.mask.mode" }),
        h(
          "label",
          { class: "checkbox" },
          h("input", { type: "radio", name: modes, checked: true }),
          h("span", { t: "images.mask.paint" }),
        ),
        h("label", { class: "checkbox" }, isErasing, h("span", { t: "images.mask.erase" })),
      ),
      h("label", { class: "mask-brush small" }, h("span", { t: "images.mask.brush" }), brush),
      h("div", { class: "row" }, undo, clear),
    ),
    rectangle(drawing, () => isErasing.checked, show),
    h(
      "div",
      { class: "dialog-actions" },
      h("button", { class: "button", type: "button", t: "common.cancel", onclick: () => close() }),
      h("button", { class: "button button-primary", t: "images.mask.use" }),
    ),
  );
}

function paintWithPointer(drawing, tool, onchange) {
  const { canvas } = drawing;
  const point = ({ clientX, clientY }) => {
    const { left, top, width, height } = canvas.getBoundingClientRect();
    return { x: ((clientX - left) / width) * drawing.width, y: ((clientY - top) / height) * drawing.height };
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    drawing.add({ type: "stroke", ...tool(), points: [point(event)] });
    onchange();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!canvas.hasPointerCapture(event.pointerId)) return;
    // All positions since the last frame, where the browser has them.
    const parts = event.getCoalescedEvents?.() ?? [];
    for (const part of parts.length > 0 ? parts : [event]) drawing.extend(point(part));
  });
}

/// Fields that paint a rectangle, for users without a pointer.
function rectangle(drawing, isErasing, onchange) {
  const { width, height } = drawing;
  const input = (max, value) =>
    h("input", { class: "input", type: "number", min: "0", max: String(max), step: "1", value: String(value) });
  const inputs = {
    x: input(width, 0),
    y: input(height, 0),
    width: input(width, Math.round(width / 2)),
    height: input(height, Math.round(height / 2)),
  };
  return h(
    "details",
    { class: "disclosure" },
    h("summary", { t: "images.mask.rectangle" }),
    h(
      "div",
      { class: "mask-rectangle" },
      Object.entries(inputs).map(([name, control]) => labelledControl(`images.mask.${name}`, control)),
      h("button", {
        class: "button",
        type: "button",
        t: "images.mask.add",
        onclick: () => {
          if (Object.values(inputs).some((control) => !control.reportValidity())) return;
          const values = Object.fromEntries(Object.entries(inputs).map(([name, { value }]) => [name, Number(value)]));
          drawing.add({ type: "rectangle", ...values, isErasing: isErasing() });
          onchange();
        },
      }),
    ),
  );
}
