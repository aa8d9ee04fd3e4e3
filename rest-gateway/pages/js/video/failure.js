// Why a video has no result.
import { h } from "../dom.js";

/// Returns the notice of a failed or cancelled video.
export function failureNotice({ error }) {
  const isCancelled = error?.code === "cancelled";
  return h(
    "div",
    { class: `notice ${isCancelled ? "" : "notice-bad"}` },
    h("p", { class: "notice-title", t: isCancelled ? "video.cancelled.title" : "video.failed.title" }),
    h("p", {}, error?.message),
    error?.code && !isCancelled && h("p", { class: "notice-details mono" }, error.code),
  );
}
