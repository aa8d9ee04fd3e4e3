// The inputs of a video: the prompt only, first and last frame, or references. A request has one of these.
import { h, replace } from "../dom.js";
import { field } from "../ui/field.js";
import { tabs } from "../ui/tabs.js";
import { filePicker, KINDS, preview } from "./files.js";

/// Returns `{ element, fields, read() }` for what a model accepts. `read()` returns members of the request. `onchange` is called after
/// each change. `element` is null if the model accepts a prompt only.
export function inputFields(video, onchange) {
  const frameTypes = video.supported_frame_images ?? [];
  const limits = {
    image: video.max_reference_images ?? 0,
    video: video.max_reference_videos ?? 0,
    sound: video.max_reference_sounds ?? 0,
  };
  const kinds = Object.keys(KINDS).filter((kind) => limits[kind] > 0);
  const frames = frameTypes.length > 0 ? frameFields(frameTypes, onchange) : null;
  const references = kinds.length > 0 ? referenceField(kinds, limits, onchange) : null;
  const modes = [
    !video.input_required && { id: "prompt", t: "video.input.prompt" },
    frames && { id: "frames", t: "video.input.frames" },
    references && { id: "references", t: "video.input.references" },
  ].filter(Boolean);
  const fields = [...(frames?.fields ?? []), ...(references?.fields ?? [])];
  if (fields.length === 0) return { element: null, fields, read: () => ({}) };
  let mode = modes[0].id;
  const contents = { frames, references };
  const { list, panel } = tabs({
    label: "video.input",
    isSegmented: true,
    tabs: modes,
    onselect(id, panel) {
      mode = id;
      replace(panel, contents[id]?.element ?? h("p", { class: "field-hint", t: "video.input.prompt.hint" }));
      onchange();
    },
  });
  return {
    element: h("div", { class: "field" }, h("span", { class: "field-label", t: "video.input" }), list, panel),
    fields,
    read: () => contents[mode]?.read() ?? {},
  };
}

/// Pickers for the first and the last frame.
function frameFields(types, onchange) {
  const entries = new Map();
  const sent = () => types.filter((type) => entries.has(type));
  const fields = types.map((type) => {
    const control = h("div", { class: "file-list" });
    const result = field({ name: "frame_images", label: `video.${type}`, control, isGroup: true });
    const show = () =>
      replace(
        control,
        entries.has(type)
          ? preview(entries.get(type), () => set(null))
          : filePicker({ kinds: ["image"], label: "video.file.image", onadd: set, onerror: result.setError }),
      );
    const set = (entry) => {
      const hadFocus = control.contains(document.activeElement);
      if (entry) entries.set(type, entry);
      else entries.delete(type);
      result.setError(null);
      show();
      if (hadFocus) control.querySelector("button")?.focus();
      onchange();
    };
    show();
    const { setError } = result;
    // An error names the position in the list.
    result.setError = (text, param) => {
      const index = /\[(\d+)\]/.exec(param ?? "")?.[1];
      if (text === null || index === undefined || sent()[index] === type) setError(text);
    };
    return result;
  });
  const element = h(
    "div",
    { class: "frames" },
    fields.map((field) => field.element),
  );
  const both = {
    name: "frame_images",
    aliases: ["input_reference"],
    element,
    setError: (...error) => fields.forEach((field) => field.setError(...error)),
  };
  return {
    element,
    fields: [both],
    read() {
      const frames = sent().map((type) => ({
        type: "image_url",
        image_url: { url: entries.get(type).url },
        frame_type: type,
      }));
      return frames.length > 0 ? { frame_images: frames } : {};
    },
  };
}

/// A list of images, videos and sounds.
function referenceField(kinds, limits, onchange) {
  let entries = [];
  const control = h("div", { class: "file-list" });
  const result = field({ name: "input_references", label: "video.references", control, isGroup: true });
  const count = (kind) => entries.filter((entry) => entry.kind === kind).length;
  const limitText = () =>
    h(
      "p",
      { class: "field-hint row" },
      kinds.map((kind) => h("span", { t: [`video.references.${kind}`, { used: count(kind), limit: limits[kind] }] })),
    );
  const set = (next) => {
    entries = next;
    result.setError(null);
    show();
    onchange();
  };
  const show = () => {
    const open = kinds.filter((kind) => count(kind) < limits[kind]);
    replace(
      control,
      entries.map((entry) => preview(entry, () => set(entries.filter((other) => other !== entry)))),
      open.length > 0 &&
        filePicker({
          kinds: open,
          label: "video.file.add",
          isMultiple: true,
          onadd: (entry) => {
            if (count(entry.kind) < limits[entry.kind]) set([...entries, entry]);
          },
          onerror: result.setError,
        }),
      limitText(),
    );
  };
  show();
  return {
    element: result.element,
    fields: [{ ...result, aliases: ["input_reference"] }],
    read() {
      const references = entries.map(({ kind, url }) => ({ type: KINDS[kind].member, [KINDS[kind].member]: { url } }));
      return references.length > 0 ? { input_references: references } : {};
    },
  };
}
