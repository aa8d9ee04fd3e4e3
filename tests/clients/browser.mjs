// A real browser against Triptych: pictures and clips are shown and played, events arrive, links seek.
//
//   node browser.mjs http://127.0.0.1:8000
//
// Needs Debian's chromium (or CHROMIUM, the path of another one).
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

  const picture = await page.evaluate(async () => {
    const answer = await fetch("/v1/images/generations", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ prompt: "A lighthouse at night", size: "512x512" }),
    });
    const image = new Image();
    image.src = (await answer.json()).data[0].url;
    await image.decode();
    return [image.naturalWidth, image.naturalHeight];
  });
  assert.deepEqual(picture, [512, 512]);
  console.log("picture shown:", picture.join("x"));

  const clip = await page.evaluate(async () => {
    const answer = await fetch("/v1/videos", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ prompt: "slow pan right over mountains", size: "640x360", seconds: 3 }),
    });
    const { id } = await answer.json();
    const seen = [];
    const done = await new Promise((resolve, reject) => {
      const events = new EventSource(`/v1/videos/${id}/events`);
      const take = (event) => {
        const video = JSON.parse(event.data);
        seen.push(video.progress);
        if (["completed", "failed"].includes(video.status)) {
          events.close();
          resolve(video);
        }
      };
      events.onmessage = take;
      for (const name of ["video", "snapshot", "video.updated"]) events.addEventListener(name, take);
      setTimeout(() => reject(new Error(`no final event; progress ${seen}`)), 120_000);
    });
    const video = document.createElement("video");
    video.muted = true;
    video.src = done.video_url;
    document.body.append(video);
    await new Promise((resolve, reject) => {
      video.onloadedmetadata = resolve;
      video.onerror = () => reject(new Error(`the clip is refused: ${video.error.message}`));
    });
    const shape = [video.videoWidth, video.videoHeight, Math.round(video.duration * 10) / 10];
    await video.play();
    await new Promise((resolve) => { video.onended = resolve; });
    const ended = video.currentTime;
    video.currentTime = 1;
    await new Promise((resolve) => { video.onseeked = resolve; });
    return { shape, ended, sought: video.currentTime, seen };
  });
  assert.deepEqual(clip.shape, [640, 360, 3]);
  assert.ok(clip.ended > 2.9, `played to ${clip.ended}`);
  assert.equal(clip.sought, 1);
  assert.deepEqual(clip.seen, [...clip.seen].sort((a, b) => a - b), "progress fell");
  assert.equal(clip.seen.at(-1), 100);
  console.log("clip played to the end:", clip.shape.join(" "), "after", clip.seen.length, "events");
} finally {
  await browser.close();
}
console.log("2 passed, 0 failed");
