// A video as a card: its progress, then the player, and the actions for it.
import { url } from "../base.js";
import { h, replace } from "../dom.js";
import { dateTime, duration, money } from "../format.js";
import { isFinal } from "../video-events.js";
import { actionButtons } from "./actions.js";
import { adjustmentList } from "./adjustments.js";
import { failureNotice } from "./failure.js";
import { downloadLinks, videoPlayer } from "./player.js";
import { progressView, statusBadge } from "./status.js";

/// Returns `{ element, update(video), render() }`. `options` are those of `actionButtons`; `render` is for a change of the language.
export function videoCard(video, options) {
  const head = h("div", { class: "video-card-head" });
  const body = h("div", { class: "stack" });
  const foot = h("div", { class: "row video-card-foot" });
  const element = h(
    "article",
    { class: "card card-body video-card panel-video", dataset: { video: video.id } },
    head,
    body,
    foot,
  );
  const progress = progressView();
  let current = null;

  const render = () => {
    replace(head, h("p", { class: "prompt-quote clamp" }, current.prompt), statusBadge(current));
    replace(
      foot,
      actionButtons(current, options),
      h("a", { class: "small video-card-link", href: url(`jobs#${current.id}`), t: "video.details" }),
    );
  };
  const renderBody = () => {
    replace(
      body,
      !isFinal(current) && progress.element,
      current.status === "completed" && [
        videoPlayer(current),
        h("p", { class: "row small muted numeric meta" }, meta(current)),
      ],
      current.status === "failed" && failureNotice(current),
      current.adjustments && adjustmentList(current.adjustments),
      current.status === "completed" && h("div", { class: "row" }, downloadLinks(current)),
    );
  };
  const update = (next) => {
    const isNewState = next.status !== current?.status;
    current = next;
    if (isNewState) {
      // The focus would be lost with the button.
      const hadFocus = foot.contains(document.activeElement);
      render();
      renderBody();
      if (hadFocus) foot.querySelector("button")?.focus();
    }
    if (!isFinal(next)) progress.update(next);
  };
  update(video);
  return {
    element,
    update,
    render() {
      render();
      if (isFinal(current)) replace(body.querySelector(".meta") ?? h("p"), meta(current));
      else progress.update(current);
    },
  };
}

/// Returns the facts about a completed video, for one line.
function meta({ size, seconds, created_at: created, completed_at: completed, cost }) {
  return [
    h("span", {}, size.replace("x", " × ")),
    h("span", {}, duration(Number(seconds))),
    completed && h("span", { t: ["video.took", { duration: duration(completed - created) }] }),
    cost !== undefined && h("span", {}, money(cost)),
    completed && h("time", { datetime: new Date(completed * 1000).toISOString() }, dateTime(completed)),
  ];
}
