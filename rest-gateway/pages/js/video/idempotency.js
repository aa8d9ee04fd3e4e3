// Keys with which a repeated create returns the video of the first one.

/// Returns a new key. `crypto.randomUUID` exists on HTTPS and loopback pages only.
export function newIdempotencyKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `page-${[...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
