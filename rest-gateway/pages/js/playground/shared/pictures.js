// Input pictures: chosen, pasted or dropped, shown as thumbnails that can be removed.
import { h, replace, uniqueId } from "../../dom.js";
import { icon } from "../../ui/icons.js";
import { toast } from "../../ui/toast.js";

const TYPES = ["image/png", "image/jpeg", "image/webp"];
/// The API's limit for one picture.
const MAX_BYTES = 20 * 1024 * 1024;

/// Returns `{ element, button, pictures(), add(blobs), clear(), takePicturesFrom(target) }`. A picture is `{ blob, url }` with an object URL
/// that is released when the picture is removed. `takePicturesFrom(target)` takes pictures that are pasted into or dropped onto an element.
/// `action(picture, index)` returns a further control of a thumbnail.
export function pictureInput({ max, label, onchange = () => {}, action = () => null }) {
  let pictures = [];
  const list = h("ul", {
    class: "thumbnails",
    role: "list",
    hidden: true,
    tAttrs: { "aria-label": "playground.pictures" },
  });
  const id = uniqueId("file");
  const file = h("input", {
    id,
    class: "visually-hidden",
    type: "file",
    accept: TYPES.join(","),
    multiple: max > 1,
    tabindex: "-1",
    "aria-hidden": "true",
    onchange: () => {
      add(file.files);
      file.value = "";
    },
  });
  const button = h(
    "button",
    { class: "button", type: "button", onclick: () => file.click() },
    icon("image"),
    h("span", { t: label }),
  );

  function add(blobs) {
    for (const blob of blobs) {
      if (!TYPES.includes(blob.type)) toast("playground.pictures.type", { isError: true });
      else if (blob.size > MAX_BYTES) toast("playground.pictures.size", { isError: true });
      else if (pictures.length >= max) toast(["playground.pictures.count", { max }], { isError: true });
      else pictures.push({ blob, url: URL.createObjectURL(blob) });
    }
    show();
  }

  function remove(picture) {
    const at = pictures.indexOf(picture);
    URL.revokeObjectURL(picture.url);
    pictures.splice(at, 1);
    show();
    (list.querySelectorAll(".thumbnail-remove")[Math.min(at, pictures.length - 1)] ?? button).focus();
  }

  function clear() {
    for (const { url } of pictures) URL.revokeObjectURL(url);
    pictures = [];
    show();
  }

  function show() {
    list.hidden = pictures.length === 0;
    replace(
      list,
      pictures.map((picture, index) =>
        h(
          "li",
          { class: "thumbnail" },
          h(
            "div",
            { class: "thumbnail-picture" },
            h("img", { src: picture.url, tAttrs: { alt: ["playground.pictures.alt", { index: index + 1 }] } }),
            h(
              "button",
              {
                class: "button button-icon button-small thumbnail-remove",
                type: "button",
                tAttrs: { "aria-label": ["playground.pictures.remove", { index: index + 1 }] },
                onclick: () => remove(picture),
              },
              icon("close"),
            ),
          ),
          action(picture, index),
        ),
      ),
    );
    onchange();
  }

  function takePicturesFrom(target) {
    target.addEventListener("paste", (event) => {
      const files = [...event.clipboardData.files].filter(({ type }) => type.startsWith("image/"));
      if (files.length === 0) return;
      event.preventDefault();
      add(files);
    });
    target.addEventListener("dragover", (event) => {
      if (!event.dataTransfer.types.includes("Files")) return;
      event.preventDefault();
      target.classList.add("is-drop-target");
    });
    target.addEventListener("dragleave", (event) => {
      if (!target.contains(event.relatedTarget)) target.classList.remove("is-drop-target");
    });
    target.addEventListener("drop", (event) => {
      target.classList.remove("is-drop-target");
      if (event.dataTransfer.files.length === 0) return;
      event.preventDefault();
      add(event.dataTransfer.files);
    });
  }

  return {
    element: h("div", { class: "picture-input" }, list, file),
    button,
    pictures: () => pictures,
    add,
    clear,
    takePicturesFrom,
  };
}

/// Returns a blob as a `data:` URL.
export function dataUrl(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result));
    reader.addEventListener("error", () => reject(reader.error));
    reader.readAsDataURL(blob);
  });
}

/// Returns the content of base64 text.
export function blobOf(base64, type) {
  const text = atob(base64);
  const content = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at += 1) content[at] = text.charCodeAt(at);
  return new Blob([content], { type });
}

/// Returns the content of a `data:` URL with base64. The policy of the page does not let `fetch` read it.
export function blobOfDataUrl(text) {
  const [head, content] = text.split(",");
  return blobOf(content, /^data:([^;]+)/.exec(head)[1]);
}
