// The estimate of a video before it is created: its cost, and the parameters that would be adjusted to the model.
import { requestJson } from "../api.js";
import { h, replace } from "../dom.js";
import { money } from "../format.js";
import { adjustmentList } from "./adjustments.js";

/// The time without a change after which an estimate is requested, in milliseconds.
const DELAY = 500;

/// Returns `{ element, details, update(json) }`. `update` requests an estimate of a create with this body, unless only the prompt has
/// changed; `onerror(error)` gets the error of a request that the create would also have, and `null` if there is none.
export function estimateView(onerror) {
  const element = h("p", { class: "estimate", role: "status", hidden: true });
  const details = h("div", { class: "estimate-details", hidden: true });
  let requested = null;
  let timer = null;
  let call = null;
  let shown = null;

  const show = () => {
    element.hidden = shown?.cost == null;
    if (!element.hidden) {
      replace(
        element,
        h("span", { class: "muted", t: "video.estimate" }),
        h("strong", { class: "numeric" }, money(shown.cost)),
        shown.frame_size_unknown && h("span", { class: "muted", t: "video.estimate.frame" }),
      );
    }
    const adjustments = shown?.adjustments ?? [];
    details.hidden = adjustments.length === 0;
    replace(details, adjustments.length > 0 && adjustmentList(adjustments, "video.adjustments.will"));
  };

  const run = async (json) => {
    call?.abort();
    call = new AbortController();
    const { signal } = call;
    try {
      // The price does not depend on the prompt, which may still be empty.
      shown = await requestJson("v1/estimate/videos", {
        json: { ...json, prompt: json.prompt || "-" },
        signal,
        askKey: false,
      });
      onerror(null);
    } catch (error) {
      if (signal.aborted) return;
      shown = null;
      onerror(error);
    }
    show();
  };

  document.addEventListener("languagechange", show);
  return {
    element,
    details,
    update(json) {
      const { prompt: _, ...rest } = json;
      const signature = JSON.stringify(rest);
      if (signature === requested) return;
      requested = signature;
      clearTimeout(timer);
      timer = setTimeout(() => run(json), DELAY);
    },
  };
}
