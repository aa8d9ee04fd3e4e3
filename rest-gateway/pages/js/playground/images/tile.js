// One image of a request: waiting, as a preview, complete, or failed.
import { h, replace } from "../../dom.js";
import { icon } from "../../ui/icons.js";
import { openDialog } from "../../ui/dialog.js";
import { errorNotice } from "../../ui/status.js";

/// Returns `{ element, preview(blob), image({ blob, format, revisedPrompt }), failure(error), end(), isComplete(), remove() }`.
/// `remove()` and the next image release the object URL of an image.
export function imageTile({ prompt, size, index, onuse }) {
  const waiting = h(
    "div",
    { class: "tile-waiting" },
    h("span", { class: "spinner" }),
    h("span", { class: "small muted", t: "images.waiting" }),
  );
  // The tile has the shape of the image before it arrives.
  waiting.style.aspectRatio = /^\d+x\d+$/.test(size) ? size.replace("x", " / ") : "1";
  const element = h("li", { class: "tile" }, waiting);
  let source = null;
  let isComplete = false;
  let hasFailed = false;

  /// Shows content after its picture is decoded, so that the tile does not flicker between previews.
  async function show(blob, content) {
    const url = URL.createObjectURL(blob);
    const before = source;
    source = url;
    const picture = h("img", { class: "tile-picture", src: url, tAttrs: { alt: ["images.alt", { prompt }] } });
    await picture.decode().catch(() => {});
    if (before) URL.revokeObjectURL(before);
    // A later picture has been faster, or the tile was removed.
    if (source === url) replace(element, content(picture, url));
  }

  function preview(blob) {
    if (isComplete) return;
    show(blob, (picture) => [
      picture,
      h("p", { class: "tile-badge" }, h("span", { class: "spinner" }), h("span", { t: "images.preview" })),
    ]);
  }

  function image({ blob, format, revisedPrompt }) {
    isComplete = true;
    show(blob, (picture, url) => [
      h(
        "button",
        {
          class: "tile-open",
          type: "button",
          tAttrs: { "aria-label": ["images.open", { index: index + 1 }] },
          onclick: () => openFull(url, prompt),
        },
        picture,
      ),
      h(
        "div",
        { class: "tile-actions" },
        h("a", {
          class: "button button-quiet button-small",
          href: url,
          download: `image-${index + 1}.${format === "jpeg" ? "jpg" : format}`,
          t: "images.download",
        }),
        h(
          "button",
          { class: "button button-quiet button-small", type: "button", onclick: () => onuse(blob) },
          h("span", { t: "images.use" }),
        ),
      ),
      revisedPrompt && revisedPrompt !== prompt
        ? h(
            "details",
            { class: "tile-revised small" },
            h("summary", { t: "images.revised" }),
            h("p", {}, revisedPrompt),
          )
        : null,
    ]);
  }

  function failure(error) {
    hasFailed = true;
    replace(element, errorNotice(error));
  }

  return {
    element,
    preview,
    image,
    failure,
    end() {
      if (!isComplete && !hasFailed) element.remove();
    },
    isComplete: () => isComplete,
    remove() {
      if (source) URL.revokeObjectURL(source);
      source = null;
    },
  };
}

function openFull(url, prompt) {
  openDialog({
    title: "images.full",
    body: (close) =>
      h(
        "div",
        { class: "stack full-size" },
        h("img", { src: url, tAttrs: { alt: ["images.alt", { prompt }] } }),
        h(
          "div",
          { class: "dialog-actions" },
          h(
            "button",
            { class: "button", type: "button", onclick: () => close() },
            icon("close"),
            h("span", { t: "common.close" }),
          ),
        ),
      ),
  });
}
