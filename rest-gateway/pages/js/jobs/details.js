// The details of one video: player, files, parameters, cost, timeline and webhooks.
import { requestJson } from "../api.js";
import { url } from "../base.js";
import { h, replace } from "../dom.js";
import { copyButton } from "../ui/copy.js";
import { errorNotice } from "../ui/status.js";
import { isFinal, watchVideo } from "../video-events.js";
import { actionButtons } from "../video/actions.js";
import { adjustmentList } from "../video/adjustments.js";
import { parameterFacts } from "../video/facts.js";
import { failureNotice } from "../video/failure.js";
import { videoModels } from "../video/models.js";
import { downloadLinks, videoPlayer } from "../video/player.js";
import { progressView, statusBadge } from "../video/status.js";
import { deliveriesView } from "./deliveries.js";
import { costFacts, originFacts } from "./facts.js";
import { timelineView } from "./timeline.js";

/// Returns `{ id, element, close(), focus() }`. `onchange(video)` gets each change, `oncreated(video)` a video that was created from this
/// one; `ondeleted()` is called after its deletion.
export function videoDetails(id, { onchange, oncreated, ondeleted }) {
  const abort = new AbortController();
  const { signal } = abort;
  const heading = h("h2", { class: "details-title mono", tabindex: "-1" }, id);
  const content = h("div", {}, h("p", { class: "muted", role: "status", t: "common.loading" }));
  const element = h(
    "section",
    { class: "details panel-video" },
    h("p", {}, h("a", { class: "back", href: "#", t: "jobs.back" })),
    h(
      "div",
      { class: "row details-head" },
      heading,
      copyButton(() => id, { label: "jobs.copyId" }),
    ),
    content,
  );
  const timeline = timelineView(id, signal);
  const progress = progressView();
  let models = [];
  let video = null;
  let view = null;

  const update = (next) => {
    const isNewState = !video || next.status !== video.status;
    // Snapshots of the event stream have no request, and it never changes.
    video = { request: video?.request, ...next };
    timeline.load();
    onchange(video);
    if (isNewState) render();
    if (!isFinal(video)) progress.update(video);
    view?.update(video);
  };

  const render = () => {
    const hadFocus = content.contains(document.activeElement);
    const deliveries = view?.deliveries ?? deliveriesView(id, signal);
    view = layout(video, { models, progress, timeline, deliveries, onchange: update, oncreated, ondeleted });
    replace(content, view.element);
    if (isFinal(video)) deliveries.load();
    if (hadFocus) heading.focus({ preventScroll: true });
  };

  const load = async () => {
    try {
      const path = `v1/videos/${encodeURIComponent(id)}`;
      const [first, known] = await Promise.all([requestJson(path, { signal }), videoModels()]);
      models = known;
      update(first);
      if (isFinal(first)) return;
      for await (const next of watchVideo(id, { signal })) update(next);
    } catch (error) {
      if (signal.aborted) return;
      if (video && error.status === 404) ondeleted();
      else replace(content, h("div", { class: "stack" }, failed(error), h("p", {}, retry(load))));
    }
  };

  const options = { signal };
  document.addEventListener("languagechange", () => video && render(), options);
  document.addEventListener("keychange", load, options);
  load();
  return { id, element, close: () => abort.abort(), focus: () => heading.focus({ preventScroll: true }) };
}

function failed(error) {
  if (error.status !== 404) return errorNotice(error);
  return h(
    "div",
    { class: "notice notice-warn", role: "alert" },
    h("p", { class: "notice-title", t: "jobs.notFound" }),
    h("p", { t: "jobs.notFound.text" }),
  );
}

function retry(load) {
  return h("button", { class: "button", type: "button", t: "common.retry", onclick: load });
}

function layout(video, { models, progress, timeline, deliveries, ...events }) {
  const costs = h("div");
  const update = (video) => {
    replace(costs, costFacts(video));
  };
  const remixed = video.remixed_from_video_id;
  const main = h(
    "div",
    { class: "stack" },
    h(
      "div",
      { class: "card card-body stack" },
      h("div", { class: "video-card-head" }, h("p", { class: "prompt-quote" }, video.prompt), statusBadge(video)),
      !isFinal(video) && progress.element,
      video.status === "completed" && videoPlayer(video),
      video.status === "failed" && failureNotice(video),
      video.adjustments && adjustmentList(video.adjustments),
      video.status === "completed" && h("div", { class: "row" }, downloadLinks(video)),
      h("div", { class: "row video-card-foot" }, actionButtons(video, { models, ...events })),
    ),
    deliveries.element,
  );
  const side = h(
    "div",
    { class: "stack" },
    section("jobs.section.parameters", parameterFacts(video)),
    section("jobs.section.cost", costs),
    section("jobs.section.timeline", timeline.element),
    section(
      "jobs.section.origin",
      originFacts(video, remixed && h("a", { class: "mono", href: url(`jobs#${remixed}`) }, remixed)),
    ),
  );
  update(video);
  return { element: h("div", { class: "details-layout" }, main, side), update, deliveries };
}

function section(title, ...content) {
  return h("section", { class: "card card-body stack details-section" }, h("h3", { t: title }), content);
}
