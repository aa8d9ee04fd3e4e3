// The parameters of a video as pairs of term and value.
import { h } from "../dom.js";
import { duration } from "../format.js";
import { inputList } from "./source.js";

/// Returns a list of facts. Pairs are `[key of the term, value]`; those without a value are left out.
export function factList(pairs) {
  return h(
    "dl",
    { class: "facts" },
    pairs
      .filter(([, value]) => value !== null && value !== undefined && value !== "" && value !== false)
      .map(([term, value]) => [h("dt", { t: term }), h("dd", {}, value)]),
  );
}

/// Returns the parameters of a video; with its `request`, also the seed, the negative prompt and the inputs.
export function parameterFacts(video) {
  const { model, size, seconds, resolution, aspect_ratio: ratio, generate_audio: audio, request } = video;
  return factList([
    ["video.model", h("span", { class: "mono" }, model)],
    ["video.size", h("span", { class: "numeric" }, size.replace("x", " × "))],
    ["video.resolution", resolution],
    ["video.aspect_ratio", ratio],
    ["video.seconds", duration(Number(seconds))],
    audio === undefined
      ? ["", null]
      : ["video.generate_audio", h("span", { t: audio ? "video.audio.on" : "video.audio.off" })],
    [
      "video.seed",
      request?.body.seed === undefined ? null : h("span", { class: "numeric" }, String(request.body.seed)),
    ],
    ["video.negative_prompt", request?.body.negative_prompt],
    ["video.inputs", inputList(video)],
  ]);
}
