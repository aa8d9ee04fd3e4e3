// Tries videos: progress, then the clip.
import { ApiError, mediaUrl, request, requestJson } from "../api.js";
import { h, replace } from "../dom.js";
import { duration, percent } from "../format.js";
import { t } from "../i18n.js";
import { progressBar } from "../ui/status.js";
import { MOCK_PARAMETERS } from "../video/mock_parameters.js";
import { watchVideo } from "../video-events.js";

export async function tryVideo({ model, prompt, output, signal, isMock }) {
  const progress = progressBar("overview.progress");
  const status = h("p", { class: "small muted numeric", role: "status", t: "overview.video.queued" });
  replace(output, h("div", { class: "stack" }, progress, status));
  const json = { model: model.id, prompt, ...(isMock ? MOCK_PARAMETERS : {}) };
  const { id } = await requestJson("v1/videos", { json, signal });
  try {
    for await (const video of watchVideo(id, { signal })) {
      if (video.status === "failed")
        throw new ApiError(t("overview.video.failed", { message: video.error?.message ?? "" }), {
          code: video.error?.code,
        });
      if (video.status === "in_progress") {
        progress.value = video.progress;
        replace(status, t("overview.video.inProgress", { percent: percent(video.progress / 100) }));
      }
      if (video.status === "completed") show(output, video, prompt);
    }
  } catch (error) {
    // The button has stopped it: the video would otherwise be generated nevertheless.
    if (signal.aborted)
      await request(`v1/videos/${encodeURIComponent(id)}/cancel`, { method: "POST", askKey: false }).catch(() => {});
    replace(output);
    throw error;
  }
}

function show(output, video, prompt) {
  const source = mediaUrl(video.video_url);
  const took = duration(video.completed_at - video.created_at);
  const player = h("video", {
    class: "try-picture",
    src: source,
    poster: video.thumbnail_url ? mediaUrl(video.thumbnail_url) : null,
    controls: true,
    playsinline: true,
    loop: true,
    muted: true,
    preload: "metadata",
    tAttrs: { "aria-label": ["overview.videoLabel", { prompt }] },
  });
  replace(
    output,
    h(
      "figure",
      { class: "stack" },
      player,
      h(
        "figcaption",
        { class: "row small" },
        h("span", { class: "muted", role: "status", t: ["overview.video.completed", { duration: took }] }),
        h("a", { href: source, download: `${video.id}.mp4`, t: "overview.download" }),
      ),
    ),
  );
}
