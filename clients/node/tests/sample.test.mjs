// Runs sample.ts, as compiled by clients/check.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";
import { API_KEY, Server } from "./server.mjs";

test("every service answers, and the program ends after close", async (t) => {
  const server = await Server.start();
  t.after(() => server.stop());
  const sample = new URL("sample.js", import.meta.url).pathname;
  const { stdout } = await promisify(execFile)(process.execPath, [sample, server.address, API_KEY], { timeout: 30_000 });
  // One value of what each service returned; `first` is whether the first snapshot of a watched video was of that video.
  assert.deepEqual(JSON.parse(stdout), {
    first: "same",
    chat: "string",
    image: "image/png",
    media: "image/png",
    model: "offline-video",
    response: "completed",
    usage: "64x64",
    video: "SUCCEEDED",
    webhook: "video.completed",
  });
});
