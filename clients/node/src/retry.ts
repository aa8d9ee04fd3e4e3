import { MethodOptions_IdempotencyLevel as IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import { ConnectError, type Interceptor, type UnaryRequest } from "@connectrpc/connect";
import { setTimeout as sleep } from "node:timers/promises";
import { errorDetails, isTransient } from "./errors.js";
import { ChatService } from "./gen/v1.js";

/** The number of attempts, and the back-off between them in milliseconds: as in `examples/grpc/service-config.json`. */
const MAX_ATTEMPTS = 4;
const INITIAL_BACKOFF_MS = 200;
const MAX_BACKOFF_MS = 5_000;

/** Returns the exponential back-off after this number of failed attempts, with jitter, in milliseconds. */
export function backoffMs(failures: number): number {
  return Math.min(INITIAL_BACKOFF_MS * 2 ** (failures - 1), MAX_BACKOFF_MS) * (0.5 + Math.random() / 2);
}

/** Repeats unary calls that failed because the server was unavailable, where that cannot execute a request twice. */
export const retry: Interceptor = (next) => async (request) => {
  for (let failures = 1; ; failures++) {
    try {
      return await next(request);
    } catch (error) {
      if (request.stream || failures === MAX_ATTEMPTS || request.signal.aborted || !isRepeatable(request)) throw error;
      // The server sends the delay where it knows it, and a negative one to prevent a retry.
      const pushback = Number(ConnectError.from(error).metadata.get("grpc-retry-pushback-ms") ?? NaN);
      if (pushback < 0 || !isTransient(errorDetails(error))) throw error;
      await sleep(Number.isNaN(pushback) ? backoffMs(failures) : pushback, undefined, { signal: request.signal });
    }
  }
};

/** Returns whether a request may be sent again: because of its method, or because of its idempotency key. */
function isRepeatable({ method, message }: UnaryRequest): boolean {
  if (method.idempotency !== IdempotencyLevel.IDEMPOTENCY_UNKNOWN) return true;
  // The key of a chat request is meant for the upstream. Triptych itself retries chat calls.
  return method.parent.typeName !== ChatService.typeName && "idempotencyKey" in message && message.idempotencyKey !== "";
}
