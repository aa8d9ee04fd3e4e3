// The status of a video as a badge, and its progress.
import { h, replace } from "../dom.js";
import { number, percent } from "../format.js";
import { t } from "../i18n.js";
import { badge, progressBar } from "../ui/status.js";

const KINDS = { queued: "", in_progress: "busy", completed: "good", failed: "bad", cancelled: "" };

/// Returns the status for filters and badges: that of the API, with `cancelled` apart from other failures.
export function statusOf({ status, error }) {
  return status === "failed" && error?.code === "cancelled" ? "cancelled" : status;
}

/// Returns the badge of a video.
export function statusBadge(video) {
  const status = statusOf(video);
  return badge(`video.status.${status}`, KINDS[status]);
}

/// Returns the progress of a video as a text of the current language: its position in the queue, or the percentage.
export function progressText({ status, progress, queue_position: position }) {
  if (status === "in_progress") return t("video.progress.percent", { percent: percent(progress / 100) });
  if (!position) return t("video.progress.queued");
  return t("video.progress.position", { n: position, count: number(position) });
}

/// Returns `{ element, update(video) }`: a progress bar with a text. Screen readers hear changes of the status, not each percent.
export function progressView() {
  const bar = progressBar("video.progress");
  const text = h("p", { class: "small muted numeric", "aria-hidden": "true" });
  const announcement = h("span", { class: "visually-hidden", role: "status" });
  let announced = null;
  return {
    element: h("div", { class: "video-progress" }, bar, text, announcement),
    update(video) {
      if (video.status === "queued") bar.removeAttribute("value");
      else bar.value = video.progress;
      replace(text, progressText(video));
      if (video.status === announced) return;
      announced = video.status;
      replace(announcement, t(`video.status.${statusOf(video)}`));
    },
  };
}
