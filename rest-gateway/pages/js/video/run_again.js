// Creates a video with the parameters of another one.
import { requestJson } from "../api.js";
import { h, replace } from "../dom.js";
import { money } from "../format.js";
import { openDialog } from "../ui/dialog.js";
import { errorNotice } from "../ui/status.js";
import { adjustmentList } from "./adjustments.js";
import { newIdempotencyKey } from "./idempotency.js";
import { parameterFacts } from "./facts.js";
import { canRemix } from "./models.js";

/// Opens a dialog with the parameters and the estimate, and resolves to the created video, or to `undefined`.
///
/// The API does not return images, references, seed and negative prompt of a video. A remix with the same prompt keeps them, but needs
/// a completed video, and OpenAI-compatible upstreams would change that video instead.
export function runAgainDialog(video, model) {
  const isRemix = video.status === "completed" && canRemix(model) && model?.owned_by !== "openai";
  const json = createBody(video);
  const key = newIdempotencyKey();
  const estimate = h(
    "div",
    { class: "stack", role: "status" },
    h("p", { class: "muted small", t: "video.again.estimating" }),
  );
  const notice = h("div", { hidden: true });
  const submit = h("button", { class: "button button-primary", type: "button", t: "video.again.action" });
  showEstimate(estimate, json);
  const send = async (close) => {
    submit.disabled = true;
    notice.hidden = true;
    const [path, body] = isRemix
      ? [`v1/videos/${encodeURIComponent(video.id)}/remix`, { prompt: video.prompt }]
      : ["v1/videos", json];
    try {
      close(await requestJson(path, { json: body, headers: { "idempotency-key": key } }));
    } catch (error) {
      submit.disabled = false;
      replace(notice, errorNotice(error));
      notice.hidden = false;
    }
  };
  return openDialog({
    title: "video.again.title",
    body: (close) => {
      submit.addEventListener("click", () => send(close));
      return h(
        "div",
        { class: "stack" },
        h("p", { class: "prompt-quote" }, video.prompt),
        parameterFacts(video),
        h("p", { class: "small muted", t: isRemix ? "video.again.remix" : "video.again.create" }),
        estimate,
        notice,
        h(
          "div",
          { class: "dialog-actions" },
          h("button", { class: "button", type: "button", t: "common.cancel", onclick: () => close() }),
          submit,
        ),
      );
    },
    focus: submit,
  });
}

/// The body of a create with the parameters that the API returns.
function createBody({ model, prompt, size, seconds, resolution, aspect_ratio: ratio, generate_audio: audio }) {
  const output = resolution || ratio ? { resolution, aspect_ratio: ratio } : { size };
  return { model, prompt, seconds, ...output, ...(audio === undefined ? {} : { generate_audio: audio }) };
}

async function showEstimate(element, json) {
  try {
    const { cost, adjustments } = await requestJson("v1/estimate/videos", { json });
    replace(
      element,
      cost === null
        ? h("p", { class: "small muted", t: "video.again.noPrice" })
        : h(
            "p",
            { class: "estimate" },
            h("span", { class: "muted", t: "video.estimate" }),
            h("strong", { class: "numeric" }, money(cost)),
          ),
      adjustments.length > 0 && adjustmentList(adjustments, "video.adjustments.will"),
    );
  } catch (error) {
    replace(element, errorNotice(error));
  }
}
