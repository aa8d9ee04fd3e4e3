// The times of a video: those that the API has, and the changes that this page has seen.
import { h } from "../dom.js";
import { dateTime, duration, timeOfDay } from "../format.js";
import { isFinal } from "../video-events.js";
import { statusOf } from "../video/status.js";

/// Collects the changes of a video while it is followed.
export class Timeline {
  /// `{ status, at }` in Unix seconds of this computer's clock.
  #seen = [];
  #last = null;

  /// Takes note of the status of a snapshot. The first one is no change.
  add(video) {
    const status = statusOf(video);
    if (this.#last !== null && this.#last !== status && status === "in_progress")
      this.#seen.push({ status, at: Date.now() / 1000 });
    this.#last = status;
  }

  /// Returns the list of times.
  render(video) {
    const { created_at: created, completed_at: completed } = video;
    const status = statusOf(video);
    return h(
      "ol",
      { class: "timeline" },
      entry("jobs.time.created", created),
      this.#seen.map(({ at }) => entry("jobs.time.started", at, created, "jobs.time.seen")),
      isFinal(video)
        ? entry(`jobs.time.${status}`, completed, created, null, { completed: "good", failed: "bad" }[status])
        : h("li", { class: "timeline-now" }, h("span", { t: `video.status.${status}` })),
    );
  }
}

/// An entry with its time, the time since the creation, and where the time is from. Videos that failed may lack the time.
function entry(name, at, since, source, kind) {
  return h(
    "li",
    { class: kind ? `timeline-${kind}` : null },
    h("span", { t: name }),
    at &&
      h(
        "span",
        { class: "muted numeric" },
        since === undefined ? dateTime(at) : `${timeOfDay(at)} (+${duration(Math.max(0, at - since))})`,
      ),
    source && h("span", { class: "muted", t: source }),
  );
}
