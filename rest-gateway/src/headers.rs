//! Names of the HTTP headers that the `http` crate does not define.

use http::{HeaderName, header};

/// Identifies a request in responses, logs and calls to the core.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Deadline that the client sets, in milliseconds, 1 to 86,400,000.
pub(crate) const X_REQUEST_TIMEOUT_MS: HeaderName = HeaderName::from_static("x-request-timeout-ms");
/// The same deadline in a call to the core, in the notation of gRPC.
pub(crate) const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// Lets the core recognise a retried request that creates something.
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The id of the last server-sent event that a reconnecting client received.
pub(crate) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// The span of the caller (W3C Trace Context).
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// Vendor-specific data of the caller's trace (W3C Trace Context).
pub(crate) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// Scheme of the original request, set by a reverse proxy.
pub(crate) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// Host of the original request, set by a reverse proxy.
pub(crate) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// The path under which a reverse proxy serves the gateway.
pub(crate) const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
/// Delay before a retry, in milliseconds. OpenAI's clients prefer it to `Retry-After`.
pub(crate) const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
/// `false` stops the automatic retries of OpenAI's clients, whatever the status.
pub(crate) const X_SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
/// Delay before the next poll of a video, in milliseconds. OpenAI's poll helpers follow it.
pub(crate) const OPENAI_POLL_AFTER_MS: HeaderName = HeaderName::from_static("openai-poll-after-ms");
/// The upstreams that the core tried for a call, with the outcome of each: `a=unavailable,b=ok`.
pub(crate) const X_TRIPTYCH_ATTEMPTS: HeaderName = HeaderName::from_static("x-triptych-attempts");
/// Whether a browser sends a request for a page of this server, of another one, or for its user.
pub(crate) const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// `no` stops nginx from buffering a response.
pub(crate) const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
/// `nosniff` stops browsers from guessing another content type than the declared one.
pub(crate) const X_CONTENT_TYPE_OPTIONS: HeaderName = HeaderName::from_static("x-content-type-options");

/// Request headers that every call to the core carries unchanged, as metadata.
pub(crate) static FORWARDED_TO_CORE: [HeaderName; 6] = [
    header::AUTHORIZATION,
    TRACEPARENT,
    TRACESTATE,
    // Calls with the same session id go to the same upstream.
    HeaderName::from_static("x-session-id"),
    // Whether the core finishes a call whose client has disconnected.
    HeaderName::from_static("x-triptych-on-disconnect"),
    // Retry counter of OpenAI's SDKs. It lets the core deduplicate their retries, which carry no idempotency key.
    HeaderName::from_static("x-stainless-retry-count"),
];

/// Response metadata of the core, of success and error alike, that becomes a response header of the same name.
pub(crate) static FORWARDED_FROM_CORE: [HeaderName; 8] = [
    X_TRIPTYCH_ATTEMPTS,
    // The cost of the call, in US dollars.
    HeaderName::from_static("x-triptych-cost-usd"),
    // The state of the caller's rate limits, in OpenAI's headers.
    HeaderName::from_static("x-ratelimit-limit-requests"),
    HeaderName::from_static("x-ratelimit-remaining-requests"),
    HeaderName::from_static("x-ratelimit-reset-requests"),
    HeaderName::from_static("x-ratelimit-limit-tokens"),
    HeaderName::from_static("x-ratelimit-remaining-tokens"),
    HeaderName::from_static("x-ratelimit-reset-tokens"),
];
