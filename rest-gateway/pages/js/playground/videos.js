// The playground's panel "Videos": a form, and the videos that were created in this tab.
import { requestJson } from "../api.js";
import { url } from "../base.js";
import { h, replace } from "../dom.js";
import { loadTexts } from "../i18n.js";
import { emptyState, errorNotice } from "../ui/status.js";
import { isFinal } from "../video-events.js";
import { videoCard } from "../video/card.js";
import { videoForm } from "../video/form.js";
import { LiveVideos } from "../video/live.js";
import { videoModels } from "../video/models.js";

/// The ids of the videos that are shown, in the session storage, so that they are there after a reload.
const STORED = "triptych.playground.videos";
/// The number of videos that are shown. The page of all videos has the others.
const MAX_SHOWN = 12;

/// Fills the element of the panel.
export async function mountVideos(root) {
  await loadTexts("video");
  const live = new LiveVideos();
  const container = h("div", { class: "video-layout" });
  root.append(container);
  const load = async () => {
    live.clear();
    replace(container, h("p", { class: "muted", role: "status", t: "common.loading" }));
    try {
      const models = await videoModels();
      if (models.length === 0) replace(container, emptyState("video.noModels", "video.noModels.text"));
      else await build(container, models, live);
    } catch (error) {
      const retry = h("button", { class: "button", type: "button", t: "common.retry", onclick: load });
      replace(container, h("div", { class: "stack" }, errorNotice(error), h("p", {}, retry)));
    }
  };
  document.addEventListener("keychange", load);
  await load();
}

async function build(container, models, live) {
  const cards = new Map();
  const list = h("div", { class: "video-results", role: "region", tAttrs: { "aria-label": "video.results" } });
  const showEmpty = () => {
    if (cards.size > 0) return;
    replace(
      list,
      emptyState(
        "video.results.empty",
        "video.results.empty.text",
        h("a", { href: url("jobs"), t: "video.results.all" }),
      ),
    );
  };
  const remove = (id) => {
    live.unfollow(id);
    cards.get(id)?.element.remove();
    cards.delete(id);
    store([...cards.keys()]);
    showEmpty();
  };
  const add = (video) => {
    if (cards.has(video.id)) {
      // The form was sent again and the gateway has recognized it.
      cards.get(video.id).update(video);
      return;
    }
    if (cards.size === 0) replace(list);
    const update = (next) => cards.get(video.id)?.update(next);
    const card = videoCard(video, {
      models,
      onchange: update,
      ondeleted: () => remove(video.id),
      oncreated: (next) => {
        add(next);
        cards.get(next.id).element.scrollIntoView({ block: "nearest", behavior: "smooth" });
      },
    });
    cards.set(video.id, card);
    list.prepend(card.element);
    if (cards.size > MAX_SHOWN) remove(cards.keys().next().value);
    if (!isFinal(video))
      live.follow(video.id, { onchange: update, ongone: (error) => error.status === 404 && remove(video.id) });
    store([...cards.keys()]);
  };
  document.addEventListener("languagechange", () => cards.forEach((card) => card.render()));
  replace(container, videoForm(models, add), list);
  showEmpty();
  for (const video of await restore()) add(video);
}

function store(ids) {
  try {
    sessionStorage.setItem(STORED, JSON.stringify(ids));
  } catch {
    // Without storage, the list ends with the page.
  }
}

/// Returns the stored videos, oldest first. Those that were deleted meanwhile are left out.
async function restore() {
  let ids = [];
  try {
    ids = JSON.parse(sessionStorage.getItem(STORED) ?? "[]");
  } catch {
    // No storage, or an entry of another version.
  }
  if (ids.length === 0) return [];
  // One list instead of a call per video, which would be an error in the console for each deleted one.
  const { data } = await requestJson("v1/videos?limit=100", { askKey: false });
  return data.filter(({ id }) => ids.includes(id)).reverse();
}
