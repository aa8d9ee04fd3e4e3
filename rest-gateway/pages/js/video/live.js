// Follows videos that are in progress: a few of them by event streams, all others by polling.
import { requestJson } from "../api.js";
import { isFinal, watchVideo } from "../video-events.js";

/// Browsers open six connections to one HTTP/1.1 server. Three remain for calls and files.
const MAX_STREAMS = 3;
/// The time between two rounds of polls, in milliseconds, and the number of videos in a round.
const POLL_DELAY = 3000;
const POLL_COUNT = 4;

/// Follows any number of videos.
export class LiveVideos {
  /// `{ onchange, ongone, controller }` by id, in the order in which they get streams. `controller` is that of a stream.
  #followed = new Map();
  #timer = null;

  /// Calls `onchange(video)` for each change until the video is final, or `ongone(error)` if the gateway refuses to return it.
  follow(id, { onchange, ongone }) {
    if (this.#followed.has(id)) return;
    this.#followed.set(id, { onchange, ongone, controller: null });
    this.#assign();
  }

  /// Stops following a video.
  unfollow(id) {
    const entry = this.#followed.get(id);
    if (!entry) return;
    this.#followed.delete(id);
    entry.controller?.abort();
    this.#assign();
  }

  /// Stops following all videos.
  clear() {
    const entries = [...this.#followed.values()];
    this.#followed.clear();
    for (const { controller } of entries) controller?.abort();
    this.#assign();
  }

  #assign() {
    const entries = [...this.#followed];
    let streams = entries.filter(([, { controller }]) => controller).length;
    for (const [id, entry] of entries) {
      if (streams >= MAX_STREAMS) break;
      if (entry.controller) continue;
      streams += 1;
      this.#stream(id, entry);
    }
    const isPolling = entries.length > streams;
    if (isPolling) this.#timer ??= setTimeout(() => this.#poll(), POLL_DELAY);
    else if (this.#timer !== null) {
      clearTimeout(this.#timer);
      this.#timer = null;
    }
  }

  async #stream(id, entry) {
    entry.controller = new AbortController();
    const { signal } = entry.controller;
    try {
      for await (const video of watchVideo(id, { signal })) entry.onchange(video);
    } catch (error) {
      if (!signal.aborted) entry.ongone(error);
    }
    if (this.#followed.get(id) !== entry) return;
    this.#followed.delete(id);
    this.#assign();
  }

  async #poll() {
    const waiting = [...this.#followed].filter(([, { controller }]) => !controller).slice(0, POLL_COUNT);
    for (const [id, entry] of document.hidden ? [] : waiting) {
      await this.#pollOne(id, entry);
      // To the end, so that the next round begins with others.
      if (this.#followed.get(id) === entry && !entry.controller) {
        this.#followed.delete(id);
        this.#followed.set(id, entry);
      }
    }
    this.#timer = null;
    this.#assign();
  }

  async #pollOne(id, entry) {
    try {
      const video = await requestJson(`v1/videos/${encodeURIComponent(id)}`, { askKey: false });
      if (this.#followed.get(id) !== entry) return;
      if (isFinal(video)) this.#followed.delete(id);
      entry.onchange(video);
    } catch (error) {
      // Others are temporary: the next round tries again.
      if (![401, 403, 404].includes(error.status)) return;
      this.#followed.delete(id);
      entry.ongone(error);
    }
  }
}
