// The changes of state of a video, and its work at the provider.
import { requestJson } from "../api.js";
import { h, replace } from "../dom.js";
import { dateTime, duration, timeOfDay } from "../format.js";

/// How long after a request the next one is sent at the earliest, in milliseconds: a video in progress has many changes.
const INTERVAL = 1000;

/// Returns `{ element, load() }`: the timeline of a video, which `load` reads again.
export function timelineView(id, signal) {
  const element = h("div", { class: "stack" }, h("p", { class: "muted", t: "common.loading" }));
  let isLoading = false;
  let isOutdated = false;
  const load = async () => {
    isOutdated = true;
    if (isLoading) return;
    isLoading = true;
    while (isOutdated && !signal.aborted) {
      isOutdated = false;
      await read();
      if (isOutdated) await new Promise((done) => setTimeout(done, INTERVAL));
    }
    isLoading = false;
  };
  const read = async () => {
    try {
      replace(element, history(await requestJson(`v1/videos/${encodeURIComponent(id)}/history`)));
    } catch {
      // Failures of the gateway are shown by the rest of the page.
      if (!signal.aborted) replace(element, h("p", { class: "muted", t: "jobs.timeline.failed" }));
    }
  };
  return { element, load };
}

function history({ transitions, submissions, failures, provider, provider_task_id: task }) {
  const created = transitions[0]?.at;
  const fact = (name, value) => [h("dt", { t: name }), h("dd", { class: "mono" }, value)];
  return [
    h(
      "ol",
      { class: "timeline" },
      transitions.map(({ state, at }, index) => entry(state, at, created, index === transitions.length - 1)),
    ),
    h(
      "dl",
      { class: "facts" },
      fact("jobs.timeline.provider", provider),
      task && fact("jobs.timeline.task", task),
      fact("jobs.timeline.submissions", String(submissions)),
      failures > 0 && fact("jobs.timeline.failures", String(failures)),
    ),
  ];
}

/// An entry with its time, and the time since the creation.
function entry(state, at, created, isLast) {
  const kind = { completed: "good", failed: "bad", cancelled: "end" }[state] ?? (isLast ? "now" : null);
  return h(
    "li",
    { class: kind ? `timeline-${kind}` : null },
    h("span", { t: `jobs.state.${state}` }),
    h(
      "span",
      { class: "muted numeric" },
      at === created ? dateTime(at) : `${timeOfDay(at)} (+${duration(Math.max(0, at - created))})`,
    ),
  );
}
