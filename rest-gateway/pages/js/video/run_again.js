// Sends the request of a video again, for a new one.
import { requestJson } from "../api.js";
import { h, replace } from "../dom.js";
import { money } from "../format.js";
import { openDialog } from "../ui/dialog.js";
import { errorNotice } from "../ui/status.js";
import { adjustmentList } from "./adjustments.js";
import { newIdempotencyKey } from "./idempotency.js";
import { parameterFacts } from "./facts.js";
import { sourceId } from "./source.js";

/// The members that name files.
const INPUTS = /^(frame_images|input_references|video)/;

/// Reads a video with its request, opens a dialog with the parameters and the estimate, and resolves to the created video, or to
/// `undefined`.
///
/// Throws an `ApiError` if the video cannot be read.
export async function runAgainDialog({ id }) {
  const video = await readVideo(id);
  const problem = await unrepeatable(video);
  const key = newIdempotencyKey();
  const notice = h("div", { hidden: true });
  const submit = h("button", { class: "button button-primary", type: "button", t: "video.again.action" });
  submit.disabled = Boolean(problem);
  const send = async (close) => {
    submit.disabled = true;
    notice.hidden = true;
    const { path, body } = video.request;
    try {
      close(await requestJson(path.slice(1), { json: body, headers: { "idempotency-key": key } }));
    } catch (error) {
      submit.disabled = false;
      replace(notice, errorNotice(error), INPUTS.test(error.param ?? "") && h("p", { t: "video.again.choose" }));
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
        problem ? h("p", { class: "notice notice-warn", t: problem }) : costView(video),
        notice,
        h(
          "div",
          { class: "dialog-actions" },
          h("button", { class: "button", type: "button", t: "common.cancel", onclick: () => close() }),
          submit,
        ),
      );
    },
    focus: problem ? undefined : submit,
  });
}

function readVideo(id) {
  return requestJson(`v1/videos/${encodeURIComponent(id)}`);
}

/// Returns why a video cannot be created again, as the key of a text, or `null`.
async function unrepeatable(video) {
  if (!video.request) return "video.again.unknown";
  const source = sourceId(video);
  if (!source) return null;
  try {
    await readVideo(source);
    return null;
  } catch (error) {
    // Other errors are shown when the request is sent.
    return error.status === 404 ? ["video.again.sourceGone", { id: source }] : null;
  }
}

/// Returns the estimate of the new video. Edits, extensions and remixes have no estimate, so the cost of this video is shown.
function costView({ request: { path, body }, cost, estimated_cost: estimated }) {
  const element = h("div", { class: "stack", role: "status" });
  if (path === "/v1/videos") {
    replace(element, h("p", { class: "muted small", t: "video.again.estimating" }));
    showEstimate(element, body);
  } else {
    replace(element, amount(cost ?? estimated ?? null, "video.again.costBefore"));
  }
  return element;
}

async function showEstimate(element, json) {
  try {
    const { cost, adjustments } = await requestJson("v1/estimate/videos", { json });
    replace(
      element,
      amount(cost, "video.estimate"),
      adjustments.length > 0 && adjustmentList(adjustments, "video.adjustments.will"),
    );
  } catch (error) {
    replace(element, errorNotice(error));
  }
}

function amount(cost, label) {
  if (cost === null) return h("p", { class: "small muted", t: "video.again.noPrice" });
  return h(
    "p",
    { class: "estimate" },
    h("span", { class: "muted", t: label }),
    h("strong", { class: "numeric" }, money(cost)),
  );
}
