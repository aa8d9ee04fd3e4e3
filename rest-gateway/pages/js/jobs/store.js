// The videos that were loaded, newest first, in pages.
import { requestJson } from "../api.js";

/// The largest page of the API.
const PAGE = 100;

/// Loaded videos. `query` has the filters of the API: `status`, `model`, and `owner`, which only administrators may use.
export class VideoStore {
  /// By id. The order is that of the list: newest first.
  videos = new Map();
  hasMore = false;
  query = {};
  /// Counts the reloads, so that a response to an earlier one is discarded.
  #generation = 0;

  /// Discards all videos and loads the first page.
  async reload() {
    this.#generation += 1;
    const generation = this.#generation;
    const page = await this.#page({});
    if (generation !== this.#generation) return;
    this.videos = new Map(page.data.map((video) => [video.id, video]));
    this.hasMore = page.has_more;
  }

  /// Loads the next page and returns its videos.
  async loadMore() {
    const generation = this.#generation;
    const page = await this.#page({ after: [...this.videos.keys()].at(-1) });
    if (generation !== this.#generation) return [];
    for (const video of page.data) this.videos.set(video.id, video);
    this.hasMore = page.has_more;
    return page.data;
  }

  /// Loads the newest page again: adds new videos, updates those that are known, and removes those that were deleted.
  async refresh() {
    const generation = this.#generation;
    const { data, has_more: hasMore } = await this.#page({});
    if (generation !== this.#generation) return;
    const isConnected = data.some(({ id }) => this.videos.has(id));
    const next = new Map(data.map((video) => [video.id, video]));
    if (isConnected && hasMore) {
      // What is older than the page is still valid.
      const ids = [...this.videos.keys()];
      const end = ids.indexOf(data.findLast(({ id }) => this.videos.has(id)).id);
      for (const id of ids.slice(end + 1)) next.set(id, this.videos.get(id));
    } else {
      this.hasMore = hasMore;
    }
    this.videos = next;
  }

  /// Stores the current state of a video, if it is loaded.
  update(video) {
    if (this.videos.has(video.id)) this.videos.set(video.id, video);
  }

  /// Adds a new video at the front.
  add(video) {
    this.videos = new Map([[video.id, video], ...this.videos]);
  }

  remove(id) {
    this.videos.delete(id);
  }

  #page({ after }) {
    const query = new URLSearchParams({ limit: PAGE });
    if (after) query.set("after", after);
    for (const [name, value] of Object.entries(this.query)) query.set(name, value);
    return requestJson(`v1/videos?${query}`);
  }
}
