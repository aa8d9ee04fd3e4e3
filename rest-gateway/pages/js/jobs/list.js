// The list of all videos, with filters, paging and live progress.
import { url } from "../base.js";
import { h, replace } from "../dom.js";
import { number } from "../format.js";
import { t } from "../i18n.js";
import { emptyState, errorNotice } from "../ui/status.js";
import { isFinal } from "../video-events.js";
import { LiveVideos } from "../video/live.js";
import { videoModels } from "../video/models.js";
import { listFilters } from "./filters.js";
import { videoRow } from "./row.js";
import { VideoStore } from "./store.js";

/// The time between two refreshes of the newest page, in milliseconds: while videos are in progress, and otherwise.
const BUSY_DELAY = 5000;
const IDLE_DELAY = 15_000;
/// With a text, further pages are loaded until this number of videos was added, or this number of pages was read.
const MIN_MATCHES = 50;
const MAX_PAGES = 5;

/// Returns `{ element, refresh(), add(video), update(video), remove(id) }`. `onopen(id)` shows a video.
export function videoList({ onopen }) {
  const store = new VideoStore();
  const live = new LiveVideos();
  const rows = new Map();
  const filters = listFilters({
    ontext: () => show(),
    onquery: () => load(),
    onopen,
  });
  const list = h("ul", { class: "jobs", role: "list" });
  const count = h("p", { class: "small muted numeric", role: "status" });
  const more = h("button", { class: "button", type: "button", t: "jobs.more", onclick: () => loadMore() });
  const state = h("div", { class: "jobs-state" });
  const element = h(
    "div",
    { class: "stack jobs-page" },
    filters.element,
    state,
    list,
    h("div", { class: "row spread" }, count, more),
  );
  let isLoaded = false;
  let timer = null;

  const show = () => {
    const videos = [...store.videos.values()];
    const shown = videos.filter(filters.matches);
    filters.addModels(videos.map(({ model }) => model));
    if (videos.some(({ owner }) => owner !== undefined)) filters.showOwner();
    for (const [id, row] of rows) {
      if (store.videos.has(id)) continue;
      row.element.remove();
      rows.delete(id);
      live.unfollow(id);
    }
    for (const video of videos) rowOf(video).update(video);
    arrange(shown.map(({ id }) => rows.get(id).element));
    for (const video of videos) follow(video);
    more.hidden = !store.hasMore;
    showState(videos.length, shown.length);
  };

  const rowOf = (video) => {
    if (!rows.has(video.id)) rows.set(video.id, videoRow(video));
    return rows.get(video.id);
  };

  /// Puts rows into the list without moving those that are in place, so that the focus and the position of scrolling stay.
  const arrange = (elements) => {
    const wanted = new Set(elements);
    for (const child of [...list.children]) if (!wanted.has(child)) child.remove();
    elements.forEach((child, index) => {
      if (list.children[index] !== child) list.insertBefore(child, list.children[index] ?? null);
    });
    list.hidden = elements.length === 0;
  };

  const follow = (video) => {
    if (isFinal(video)) return;
    live.follow(video.id, {
      onchange(next) {
        store.update(next);
        rows.get(next.id)?.update(next);
        // A filter by status may no longer match.
        if (next.status !== video.status) show();
      },
      ongone(error) {
        if (error.status === 404) remove(video.id);
      },
    });
  };

  const showState = (total, shown) => {
    count.hidden = total === 0;
    const values = { shown: number(shown), n: total, total: number(total) };
    replace(count, t(store.hasMore ? "jobs.count.more" : "jobs.count", values));
    if (shown > 0 || !isLoaded) replace(state);
    else if (total === 0 && !filters.isActive())
      replace(
        state,
        emptyState(
          "jobs.empty",
          "jobs.empty.text",
          h("a", { class: "button button-primary", href: url("playground#videos"), t: "jobs.empty.action" }),
        ),
      );
    else
      replace(
        state,
        emptyState(
          "jobs.noMatch",
          store.hasMore ? "jobs.noMatch.more" : "jobs.noMatch.text",
          h("button", { class: "button", type: "button", t: "jobs.noMatch.clear", onclick: () => filters.clear() }),
        ),
      );
  };

  const fail = (error, again) => {
    const retry = h("button", { class: "button", type: "button", t: "common.retry", onclick: again });
    replace(state, h("div", { class: "stack" }, errorNotice(error), h("p", {}, retry)));
  };

  const load = async () => {
    isLoaded = false;
    store.query = filters.query();
    live.clear();
    replace(state, h("p", { class: "muted", role: "status", t: "common.loading" }));
    try {
      await store.reload();
      isLoaded = true;
      show();
    } catch (error) {
      store.videos.clear();
      store.hasMore = false;
      show();
      fail(error, load);
    }
    schedule();
  };

  const loadMore = async () => {
    more.disabled = true;
    try {
      let matches = 0;
      for (let page = 0; page < MAX_PAGES && matches < MIN_MATCHES && store.hasMore; page += 1) {
        const videos = await store.loadMore();
        matches += videos.filter(filters.matches).length;
        if (!filters.hasText()) break;
      }
      show();
    } catch (error) {
      fail(error, loadMore);
    }
    more.disabled = false;
  };

  const refresh = async () => {
    clearTimeout(timer);
    if (isLoaded && !document.hidden) {
      try {
        await store.refresh();
        show();
      } catch {
        // The next refresh tries again; what is shown stays.
      }
    }
    schedule();
  };

  const schedule = () => {
    clearTimeout(timer);
    const isBusy = [...store.videos.values()].some((video) => !isFinal(video));
    timer = setTimeout(refresh, isBusy ? BUSY_DELAY : IDLE_DELAY);
  };

  /// Offers all models of the gateway, because a page of videos may have few of them.
  const offerModels = async () => {
    try {
      filters.addModels((await videoModels()).map(({ id }) => id));
    } catch {
      // Those of the loaded videos are offered.
    }
  };

  const remove = (id) => {
    store.remove(id);
    show();
  };

  document.addEventListener("keychange", () => {
    filters.reset();
    load();
    offerModels();
  });
  document.addEventListener("languagechange", () => {
    for (const row of rows.values()) row.forget();
    show();
  });
  document.addEventListener("visibilitychange", () => document.hidden || refresh());
  load();
  offerModels();
  return {
    element,
    refresh,
    remove,
    add(video) {
      store.add(video);
      show();
    },
    update(video) {
      store.update(video);
      show();
    },
  };
}
