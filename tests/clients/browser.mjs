// A browser with Triptych: images are shown, videos played and sought, events received.
//
//   node browser.mjs http://127.0.0.1:8000
//
// Needs Debian's chromium, or the path of another one in CHROMIUM.
import assert from "node:assert/strict";
import { chromium } from "playwright-core";

const base = process.argv[2] ?? "http://127.0.0.1:8000";
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required"],
});
try {
  const page = await browser.newPage();
  await page.goto(`${base}/v1/models`);

  const image = await page.evaluate(async () => {
    const response = await fetch("/v1/images/generations", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ prompt: "A lighthouse at night", size: "512x512" }),
    });
    const image = new Image();
    image.src = (await response.json()).data[0].url;
    await image.decode();
    return [image.naturalWidth, image.naturalHeight];
  });
  assert.deepEqual(image, [512, 512]);
  console.log("image shown:", image.join("x"));

  const played = await page.evaluate(async () => {
    const response = await fetch("/v1/videos", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ prompt: "slow pan right over mountains", size: "640x360", seconds: 3 }),
    });
    const { id } = await response.json();
    const seen = [];
    const done = await new Promise((resolve, reject) => {
      const events = new EventSource(`/v1/videos/${id}/events`);
      const update = (event) => {
        const video = JSON.parse(event.data);
        seen.push(video.progress);
        if (["completed", "failed"].includes(video.status)) {
          events.close();
          resolve(video);
        }
      };
      events.onmessage = update;
      for (const name of ["video", "snapshot", "video.updated"]) events.addEventListener(name, update);
      setTimeout(() => reject(new Error(`no final event; progress ${seen}`)), 120_000);
    });
    const video = document.createElement("video");
    video.muted = true;
    video.src = done.video_url;
    document.body.append(video);
    await new Promise((resolve, reject) => {
      video.onloadedmetadata = resolve;
      video.onerror = () => reject(new Error(`the video cannot be played: ${video.error.message}`));
    });
    const facts = [video.videoWidth, video.videoHeight, Math.round(video.duration * 10) / 10];
    await video.play();
    await new Promise((resolve) => { video.onended = resolve; });
    const ended = video.currentTime;
    video.currentTime = 1;
    await new Promise((resolve) => { video.onseeked = resolve; });
    return { facts, ended, sought: video.currentTime, seen };
  });
  assert.deepEqual(played.facts, [640, 360, 3]);
  assert.ok(played.ended > 2.9, `played to ${played.ended}`);
  assert.equal(played.sought, 1);
  assert.deepEqual(played.seen, [...played.seen].sort((a, b) => a - b), "progress decreased");
  assert.equal(played.seen.at(-1), 100);
  console.log("video played to the end:", played.facts.join(" "), "after", played.seen.length, "events");
} finally {
  await browser.close();
}
console.log("2 passed, 0 failed");
