// The notice of a video without a result.
import { h } from "../dom.js";

/// The message of a cancelled video that has no more information than its code. Other messages say that the provider may charge for it.
const CANCELLED = "the video was cancelled";

/// Returns the notice of a failed or cancelled video.
export function failureNotice({ error }) {
  const isCancelled = error?.code === "cancelled";
  return h(
    "div",
    { class: `notice ${isCancelled ? "" : "notice-bad"}` },
    h("p", { class: "notice-title", t: isCancelled ? "video.cancelled.title" : "video.failed.title" }),
    error?.message !== CANCELLED && h("p", {}, error?.message),
    error?.code && !isCancelled && h("p", { class: "notice-details mono" }, error.code),
  );
}
