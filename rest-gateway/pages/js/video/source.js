// The inputs and the source of a video, from the request that creates it again.
import { url } from "../base.js";
import { h } from "../dom.js";

/// The kinds of references by their type.
const KINDS = { image_url: "image", video_url: "video", audio_url: "sound" };

/// Returns the id of the video that an edit, an extension or a remix starts from, or `null`.
export function sourceId({ request }) {
  const remixed = /^\/v1\/videos\/(video_\w+)\/remix$/.exec(request?.path ?? "");
  return remixed?.[1] ?? request?.body.video?.id ?? null;
}

/// Returns the inputs of a video as a list, or `null` if there are none.
export function inputList(video) {
  const { frame_images: frames = [], input_references: references = [], video: source } = video.request?.body ?? {};
  const id = sourceId(video);
  const entries = [
    id && entry("video.input.source", h("a", { class: "mono", href: url(`jobs#${id}`) }, id)),
    !id && source && entry("video.input.source", fileLabel(source)),
    ...frames.map((frame) => entry(`video.${frame.frame_type}`, fileLabel(frame))),
    ...references.map((reference) => entry(`video.input.${KINDS[reference.type]}`, fileLabel(reference))),
  ].filter(Boolean);
  return entries.length > 0 ? h("ul", { class: "input-list", role: "list" }, entries) : null;
}

function entry(label, content) {
  return h("li", {}, h("span", { t: label }), " ", content);
}

/// Returns the URL of an input that the provider reads, or a text for a copy that is stored with the video.
function fileLabel(input) {
  const link = input.url ?? (input.image_url ?? input.video_url ?? input.audio_url)?.url;
  return link ? h("span", { class: "mono small" }, link) : h("span", { class: "small muted", t: "video.input.stored" });
}
