import { Code, ConnectError, type Client } from "@connectrpc/connect";
import { setTimeout as sleep } from "node:timers/promises";
import { errorDetails, isTransient } from "./errors.js";
import { Video_State, type Video, type VideoService } from "./gen/v1.js";
import { backoffMs } from "./retry.js";

/** Options of `watchVideo`. */
export interface WatchOptions {
  /** The maximum time until the final state, in milliseconds. Absent: unlimited. */
  timeoutMs?: number;
  /** The maximum time without any snapshot after a stream broke or ended, in milliseconds. Absent: 60,000. */
  reconnectTimeoutMs?: number;
  /** Ends the call with the code `Canceled`. The video continues. */
  signal?: AbortSignal;
}

/** Options of `waitForVideo`. */
export interface WaitOptions extends WatchOptions {
  /** Called with each snapshot. */
  onChange?: (video: Video) => void;
}

const FINAL_STATES: readonly Video_State[] = [Video_State.SUCCEEDED, Video_State.FAILED, Video_State.CANCELLED];

/** Implements `Client.watchVideo`. */
export async function* watchVideo(
  service: Client<typeof VideoService>,
  id: string,
  options: WatchOptions = {},
): AsyncGenerator<Video, void, void> {
  const deadline = performance.now() + (options.timeoutMs ?? Infinity);
  let brokenSince: number | undefined;
  let failures = 0;
  let revision: bigint | undefined;
  let final = false;
  for (;;) {
    // Ends the stream if the caller stops reading: leaving a loop over its messages does not.
    const stream = new AbortController();
    const signal = AbortSignal.any([stream.signal, ...(options.signal ? [options.signal] : [])]);
    const remaining = deadline - performance.now();
    // A timeout of 0 would mean none.
    const limit = remaining === Infinity ? {} : { timeoutMs: Math.max(Math.ceil(remaining), 1) };
    const responses = service.watchVideo({ id }, { signal, ...limit })[Symbol.asyncIterator]();
    let failure: unknown;
    try {
      for (let next = await responses.next(); !next.done; next = await responses.next()) {
        const { video } = next.value;
        if (video === undefined) continue;
        brokenSince = undefined;
        // Each stream starts with the current snapshot, which is not a change.
        if (video.revision !== revision) {
          failures = 0;
          revision = video.revision;
          yield video;
        }
        final = FINAL_STATES.includes(video.state);
      }
    } catch (error) {
      failure = error;
    } finally {
      stream.abort();
      await readToEnd(responses);
    }
    if (final) return;
    const now = performance.now();
    brokenSince ??= now;
    failures++;
    let delay = backoffMs(failures);
    const expired = now >= deadline || now - brokenSince >= (options.reconnectTimeoutMs ?? 60_000);
    if (failure === undefined && expired) {
      throw new ConnectError("the server closed the stream of the video repeatedly without sending a snapshot", Code.Unavailable);
    }
    if (failure !== undefined) {
      const details = errorDetails(failure);
      const resumable =
        isTransient(details) ||
        details.code === Code.DeadlineExceeded ||
        (details.code === Code.ResourceExhausted && details.retryDelayMs !== undefined);
      if (!resumable || expired || options.signal?.aborted) throw failure;
      delay = Math.max(delay, details.retryDelayMs ?? 0);
    }
    try {
      await sleep(Math.min(delay, Math.max(deadline - now, 0)), undefined, { ...(options.signal && { signal: options.signal }) });
    } catch (aborted) {
      throw ConnectError.from(aborted, Code.Canceled);
    }
  }
}

/** Discards the rest of a stream that was aborted: connect releases the timer of its deadline when the end has been read. */
async function readToEnd(stream: AsyncIterator<unknown>): Promise<void> {
  try {
    while (!(await stream.next()).done);
  } catch {
    // The end of an aborted stream is an error.
  }
}

/** Implements `Client.waitForVideo`. */
export async function waitForVideo(service: Client<typeof VideoService>, id: string, options: WaitOptions = {}): Promise<Video> {
  let last: Video | undefined;
  for await (const video of watchVideo(service, id, options)) {
    options.onChange?.(video);
    last = video;
  }
  if (last === undefined) throw new ConnectError("the server sent no snapshot", Code.Internal);
  return last;
}
