// Calls of the REST API.
import { url } from "./base.js";
import { t } from "./i18n.js";
import { askForKey, getKey } from "./key.js";
import { EventParser } from "./sse.js";

export { mediaUrl, url } from "./base.js";

/// A failed call: the members of OpenAI's error body, with the status (0: no response) and the id of the request.
export class ApiError extends Error {
  constructor(
    message,
    { status = 0, code = null, type = null, param = null, requestId = null, retryAfter = null } = {},
  ) {
    super(message);
    this.name = "ApiError";
    Object.assign(this, { status, code, type, param, requestId, retryAfter });
  }
}

/// Calls the API and returns the `Response` of a successful call.
///
/// `options`: `method` (default GET, or POST with a body), `json` (a value to send as JSON), `body`, `headers`, `signal`, and
/// `askKey` (default true): whether a 401 opens the dialog for the API key and repeats the call. `onresponse(response)` gets the
/// successful response as soon as its headers are there, for their values and for measuring.
///
/// Throws an `ApiError`, or the `AbortError` of the signal.
export async function request(path, options = {}) {
  const { json, body = json === undefined ? undefined : JSON.stringify(json), askKey = true, signal } = options;
  const method = options.method ?? (body === undefined ? "GET" : "POST");
  for (;;) {
    const key = getKey();
    const headers = new Headers(options.headers);
    if (json !== undefined) headers.set("content-type", "application/json");
    if (key) headers.set("authorization", `Bearer ${key}`);
    const response = await send(url(path), { method, headers, body, signal, cache: "no-store" });
    if (response.ok) {
      options.onresponse?.(response);
      return response;
    }
    if (response.status === 401 && askKey && (await askForKey({ rejected: key }))) continue;
    throw await errorOf(response);
  }
}

async function send(target, options) {
  try {
    return await fetch(target, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(t("error.network"), { code: "network" });
  }
}

/// Calls the API and returns the JSON of the response.
export async function requestJson(path, options) {
  const response = await request(path, options);
  return response.status === 204 ? null : response.json();
}

/// Calls the API and yields the events of the response: `{ event, data, id }`, with the JSON in `data` parsed. Ends with the
/// stream; `[DONE]` is skipped. Throws an `ApiError` also for an error event. Leaving the loop, or the signal, closes the stream.
export async function* stream(path, options = {}) {
  const response = await request(path, { ...options, headers: { accept: "text/event-stream", ...options.headers } });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  const parser = new EventParser();
  let failure = null;
  try {
    for (;;) {
      const { value, done } = await read(reader).catch((error) => {
        throw failure ?? error;
      });
      if (done && failure) throw failure;
      if (done) return;
      for (const event of parser.push(value)) {
        // The end of the response follows. A reader that left now, or after an error, would interrupt it.
        if (event.data === "[DONE]" || failure) continue;
        const data = JSON.parse(event.data);
        // Videos, and events of single images, have a member `error` of their own.
        const isOwn = data.object !== undefined || data.type !== undefined;
        if (event.event === "error" || (data.error && !isOwn)) failure = errorFrom(data.error, response);
        else yield { ...event, data };
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

async function read(reader) {
  try {
    return await reader.read();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(t("error.interrupted"), { code: "network" });
  }
}

async function errorOf(response) {
  let error = null;
  try {
    ({ error } = await response.json());
  } catch {
    // Not JSON: a proxy between the page and the gateway has responded.
  }
  return errorFrom(error, response);
}

function errorFrom(error, response) {
  return new ApiError(error?.message ?? t("error.status", { status: response.status }), {
    status: response.status,
    code: error?.code,
    type: error?.type,
    param: error?.param,
    requestId: response.headers.get("x-request-id"),
    retryAfter: response.headers.get("retry-after"),
  });
}
