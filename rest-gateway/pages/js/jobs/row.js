// A video in the list.
import { mediaUrl } from "../api.js";
import { h, replace } from "../dom.js";
import { dateTime, duration, money, relativeTime } from "../format.js";
import { isFinal } from "../video-events.js";
import { icon } from "../ui/icons.js";
import { progressBar } from "../ui/status.js";
import { progressText, statusBadge } from "../video/status.js";

/// Returns `{ element, update(video), forget() }`. An update with the object that is shown already renews the relative time only, unless
/// `forget` was called before, for a change of the language.
export function videoRow(video) {
  const picture = h("span", { class: "job-picture" });
  const link = h("a", { class: "job-prompt", href: `#${video.id}` });
  const state = h("span", { class: "job-state" });
  const bar = progressBar("video.progress");
  const progress = h("span", { class: "small muted numeric" });
  const facts = h("span", { class: "job-facts numeric" });
  const time = h("time", { class: "job-time numeric" });
  const element = h(
    "li",
    { class: "job panel-video", dataset: { job: video.id } },
    picture,
    h("span", { class: "job-title" }, link, h("span", { class: "job-id mono" }, video.id)),
    state,
    facts,
    time,
  );
  let thumbnail = null;
  let shown = null;
  return {
    element,
    forget() {
      shown = null;
    },
    update(video) {
      replaceText(time, relativeTime(video.created_at));
      if (video === shown) return;
      shown = video;
      if (!picture.hasChildNodes() || video.thumbnail_url !== thumbnail) {
        thumbnail = video.thumbnail_url;
        replace(picture, thumbnail ? h("img", { src: mediaUrl(thumbnail), alt: "", loading: "lazy" }) : icon("video"));
      }
      replace(link, video.prompt);
      if (isFinal(video)) {
        replace(state, statusBadge(video));
      } else {
        if (video.status === "queued") bar.removeAttribute("value");
        else bar.value = video.progress;
        replace(progress, progressText(video));
        if (!bar.isConnected || bar.parentNode !== state) replace(state, bar, progress);
      }
      replace(
        facts,
        h("span", { class: "job-model" }, video.model),
        h("span", {}, `${video.size.replace("x", " × ")} · ${duration(Number(video.seconds))}${cost(video)}`),
        video.owner !== undefined && h("span", {}, video.owner || h("i", { t: "jobs.owner.none" })),
      );
      const iso = new Date(video.created_at * 1000).toISOString();
      time.dateTime = iso;
      time.title = dateTime(video.created_at);
    },
  };
}

function cost({ cost, estimated_cost: estimated, status }) {
  if (cost !== undefined) return ` · ${money(cost)}`;
  return estimated !== undefined && status !== "failed" ? ` · ≈ ${money(estimated)}` : "";
}

function replaceText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
