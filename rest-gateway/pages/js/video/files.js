// Images, videos and sounds of a request: from a file, or from a URL.
import { h, replace, uniqueId } from "../dom.js";
import { bytes } from "../format.js";
import { t } from "../i18n.js";
import { icon } from "../ui/icons.js";

/// The limit of the gateway for one file.
const MAX_BYTES = 20 * 1024 * 1024;

/// The media types that the gateway accepts, by kind, and the member of an entry that has the URL.
export const KINDS = {
  image: { accept: "image/png,image/jpeg,image/webp", member: "image_url" },
  video: { accept: "video/mp4", member: "video_url" },
  sound: { accept: "audio/mpeg,audio/wav,audio/x-wav", member: "audio_url" },
};

/// Returns the kind of a file among `kinds`, or `undefined`.
export function kindOf(file, kinds) {
  return kinds.find((kind) => KINDS[kind].accept.split(",").includes(file.type));
}

/// Reads a file and resolves to an entry `{ kind, name, url, size }`, where `url` is a data URL. Throws an `Error` with a text for
/// the user if the type or the size is not accepted.
export async function readFile(file, kinds) {
  const kind = kindOf(file, kinds);
  if (!kind) throw new Error(t("video.file.type", { name: file.name }));
  if (file.size > MAX_BYTES)
    throw new Error(t("video.file.size", { name: file.name, size: bytes(file.size), limit: "20 MiB" }));
  const url = await new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result));
    reader.addEventListener("error", () => reject(new Error(t("video.file.unreadable", { name: file.name }))));
    reader.readAsDataURL(file);
  });
  return { kind, name: file.name, url, size: file.size };
}

/// Returns the preview of an entry with a button that removes it. Files behind a URL are not loaded: the policy of the page permits
/// its own origin only.
export function preview(entry, onremove) {
  const { kind, name, url, size } = entry;
  const isLocal = url.startsWith("data:");
  const remove = h(
    "button",
    {
      class: "button button-quiet button-icon button-small",
      type: "button",
      tAttrs: { "aria-label": ["video.file.remove", { name }] },
      onclick: onremove,
    },
    icon("close"),
  );
  return h(
    "div",
    { class: "file" },
    kind === "image" && isLocal
      ? h("img", { class: "file-picture", src: url, alt: "" })
      : h("span", { class: "file-picture file-icon" }, kind === "sound" ? "♪" : icon(kind)),
    h(
      "span",
      { class: "file-name" },
      h("span", { class: "file-title", title: name }, name),
      isLocal ? h("span", { class: "muted" }, bytes(size)) : h("span", { class: "muted", t: "video.file.url" }),
    ),
    remove,
  );
}

/// Returns a control that adds entries: a button for files, a place to drop them, and a field for a URL. `onadd(entry)` gets each
/// entry, `onerror(text)` the reason why a file is not accepted. `label` is the key of the button.
export function filePicker({ kinds, label, isMultiple = false, onadd, onerror }) {
  const input = h("input", {
    class: "visually-hidden",
    type: "file",
    accept: kinds.map((kind) => KINDS[kind].accept).join(","),
    multiple: isMultiple,
    tabindex: "-1",
    "aria-hidden": "true",
  });
  const add = async (files) => {
    for (const file of isMultiple ? files : [...files].slice(0, 1)) {
      try {
        onadd(await readFile(file, kinds));
      } catch (error) {
        onerror(error.message);
      }
    }
  };
  input.addEventListener("change", async () => {
    await add([...input.files]);
    input.value = "";
  });
  const element = h(
    "div",
    { class: "file-picker" },
    input,
    h(
      "button",
      { class: "button button-small", type: "button", onclick: () => input.click() },
      icon("plus"),
      h("span", { t: label }),
    ),
    urlForm(kinds, onadd),
  );
  element.addEventListener("dragover", (event) => {
    event.preventDefault();
    element.classList.add("is-target");
  });
  element.addEventListener("dragleave", () => element.classList.remove("is-target"));
  element.addEventListener("drop", (event) => {
    event.preventDefault();
    element.classList.remove("is-target");
    add([...event.dataTransfer.files]);
  });
  return element;
}

/// A button that opens a field for a URL. With several kinds, a select says what is behind the URL.
function urlForm(kinds, onadd) {
  const id = uniqueId("url");
  const container = h("span", { class: "file-url" });
  const open = () => {
    const kind = h(
      "select",
      { class: "select", tAttrs: { "aria-label": "video.file.kind" } },
      kinds.map((kind) => h("option", { value: kind, t: `video.kind.${kind}` })),
    );
    const input = h("input", {
      id,
      class: "input",
      type: "url",
      placeholder: "https://",
      tAttrs: { "aria-label": "video.file.url" },
    });
    const use = () => {
      const url = input.value.trim();
      if (url) onadd({ kind: kind.value, name: url, url, size: 0 });
      close();
    };
    input.addEventListener("keydown", (event) => {
      if (event.key === "Escape") close();
      if (event.key !== "Enter") return;
      // Enter would send the form around it.
      event.preventDefault();
      use();
    });
    replace(
      container,
      kinds.length > 1 && kind,
      input,
      h("button", { class: "button button-small", type: "button", t: "video.file.useUrl", onclick: use }),
    );
    input.focus();
  };
  const close = () => {
    replace(container, button);
    button.focus();
  };
  const button = h("button", {
    class: "button button-quiet button-small",
    type: "button",
    t: "video.file.addUrl",
    onclick: open,
  });
  container.append(button);
  return container;
}
