// Follows a video by its event stream.
import { stream } from "./api.js";

/// A cancelled video has the status `failed` and the error code `cancelled`.
const FINAL = ["completed", "failed"];
/// The shortest and the longest delay before an interrupted stream is opened again, in milliseconds.
const MIN_DELAY = 500;
const MAX_DELAY = 15_000;

/// Returns whether a video will not change any more.
export function isFinal(video) {
  return FINAL.includes(video.status);
}

/// Yields the video with this id as often as it changes, up to its final state. A stream that breaks is opened again, with
/// increasing delays. Throws an `ApiError` if the gateway refuses, for example because the video was deleted.
export async function* watchVideo(id, { signal } = {}) {
  let delay = MIN_DELAY;
  let lastId;
  let isCompleted = false;
  for (;;) {
    try {
      const headers = lastId === undefined ? {} : { "last-event-id": lastId };
      for await (const event of stream(`v1/videos/${encodeURIComponent(id)}/events`, { signal, headers })) {
        delay = MIN_DELAY;
        lastId = event.id ?? lastId;
        isCompleted = isFinal(event.data);
        yield event.data;
      }
      if (isCompleted) return;
    } catch (error) {
      const isTemporary = error.code === "network" || error.status === 429 || error.status >= 500;
      if (!isTemporary) throw error;
    }
    await sleep(delay * (0.5 + Math.random() / 2), signal);
    delay = Math.min(delay * 2, MAX_DELAY);
  }
}

function sleep(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener(
      "abort",
      () => {
        clearTimeout(timer);
        reject(signal.reason);
      },
      { once: true },
    );
  });
}
