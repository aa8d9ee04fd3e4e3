// The page of all videos: list, filters, live progress, details, webhooks, and the keys of administrators.
import assert from "node:assert/strict";
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const ADMIN = "a-secret-of-the-tests-admin";
const ALICE = "a-secret-of-the-tests-alice";
async function settings(text) {
  const file = join(await mkdtemp(join(tmpdir(), "triptych-jobs-")), "triptych.toml");
  await writeFile(file, text);
  return { TRIPTYCH_CONFIG: file };
}

async function createVideo(url, members, key) {
  const json = { model: "offline-video", prompt: "Pan over hills", size: "128x96", seconds: 1, ...members };
  const headers = { "content-type": "application/json", ...(key ? { authorization: `Bearer ${key}` } : {}) };
  const response = await fetch(`${url}v1/videos`, { method: "POST", body: JSON.stringify(json), headers });
  assert.equal(response.status, 200, await response.clone().text());
  return response.json();
}

async function empty({ page, url, watched, checkWidths }) {
  await page.goto(`${url}jobs`);
  await page.getByText("No videos yet").waitFor();
  await checkWidths("jobs-empty");
  watched.allow(/HTTP 404/, /status of 404/);
  await page.goto(`${url}jobs#video_0`);
  await page.getByText("This video does not exist").waitFor();
}

async function listAndDetails({ page, url, checkWidths }) {
  const clip = await createVideo(url, { callback_url: "https://webhook-fault-0.invalid/", seed: 7 });
  await createVideo(url, { model: "offline-video-fault-fails", prompt: "Waves at night" });
  const stuck = await createVideo(url, { model: "offline-video-fault-stuck", prompt: "A long story" });
  await page.goto(`${url}jobs`);
  const row = (id) => page.locator(`[data-job="${id}"]`);
  await row(clip.id).locator(".badge-good").waitFor();
  await row(clip.id).locator("img").waitFor();
  await page.locator(".job .badge-bad").waitFor();
  await row(stuck.id).getByText("Generating").waitFor();
  await checkWidths("jobs");

  // Filters.
  const shown = () => page.locator(".job").count();
  const waitForShown = (count) =>
    page.waitForFunction((count) => document.querySelectorAll(".job").length === count, count);
  await page.getByLabel("Status").selectOption("failed");
  await waitForShown(1);
  await page.getByLabel("Model").selectOption("offline-video");
  await page.getByText("No video matches").waitFor();
  await page.getByRole("button", { name: "Clear the filters" }).click();
  await waitForShown(3);
  await page.getByLabel("Search").fill("LONG story");
  assert.equal(await shown(), 1);
  await page.getByLabel("Search").fill(clip.id);
  assert.equal(await shown(), 1);

  // Enter opens the id; the details have the webhook, which is sent again.
  await page.keyboard.press("Enter");
  await page.locator(".details .player").waitFor();
  assert.ok(page.url().endsWith(`#${clip.id}`));
  await page.getByText("Charged").waitFor();
  await page.locator(".details").getByText("$0.05").first().waitFor();
  await page.getByText("Delivered").waitFor();
  await page.getByText("1 attempt", { exact: true }).waitFor();
  await checkWidths("jobs-details");
  await page.getByRole("button", { name: "Send again" }).click();
  await page.getByText("2 attempts").waitFor();

  // Again, with the estimate, as a new video.
  await page.locator("[data-action=again]").click();
  await page.locator("dialog").getByText("$0.05").waitFor();
  await checkWidths("jobs-again");
  await page.locator("dialog .button-primary").click();
  await page.waitForFunction((old) => !location.hash.includes(old), clip.id);
  await page.locator(".details .badge-good").waitFor();
  const facts = page.locator(".details .facts").first();
  assert.match(await facts.textContent(), /Size128 × 96.*Seed7/);

  // Back to the list, with the focus on the video unless a filter hides it.
  const back = page.getByRole("link", { name: "All videos" });
  await back.click();
  await page.waitForFunction(() => document.activeElement.id === "main");
  await page.getByLabel("Search").fill("");
  assert.equal(await shown(), 4);
  await row(stuck.id).locator("a").click();
  await back.click();
  await page.waitForFunction((id) => document.activeElement.hash === `#${id}`, stuck.id);
  await page.keyboard.press("Enter");

  // A video in progress is cancelled and deleted.
  await page.locator(".details progress").waitFor();
  await page.locator(".timeline").getByText("Rendering").waitFor();
  const work = page
    .locator(".details-section")
    .filter({ has: page.locator(".timeline") })
    .locator("dd");
  assert.deepEqual(await work.allTextContents(), ["offline", stuck.id, "1"]);
  await checkWidths("jobs-running");
  await page.locator("[data-action=cancel]").click();
  await page.locator("dialog .button-danger").click();
  await page.getByText("The video was cancelled").waitFor();
  await page.locator(".timeline").getByText("Cancelled").waitFor();
  await page.locator("[data-action=delete]").click();
  await page.locator("dialog .button-danger").click();
  await page.waitForFunction(() => document.querySelectorAll(".job").length === 3);
}

/// A PNG of one pixel.
const PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGD4DwABBAEAX+XDSwAAAABJRU5ErkJggg==";

async function runAgainWithInputs({ page, url, watched, checkWidths }) {
  const frame = { type: "image_url", image_url: { url: `data:image/png;base64,${PIXEL}` }, frame_type: "first_frame" };
  const first = await createVideo(url, { prompt: "A pixel", frame_images: [frame] });
  await page.goto(`${url}jobs#${first.id}`);
  await page.locator(".details .badge-good").waitFor();
  await page.locator(".details").getByText("First frame stored with the video").waitFor();
  await page.locator("[data-action=again]").click();
  await page.locator("dialog").getByText("First frame stored with the video").waitFor();
  await checkWidths("jobs-again-inputs");
  await page.locator("dialog .button-primary").click();
  await page.waitForFunction((old) => !location.hash.includes(old), first.id);
  await page.locator(".details .badge-good").waitFor();
  const id = new URL(page.url()).hash.slice(1);
  const { request } = await (await fetch(`${url}v1/videos/${id}`)).json();
  assert.equal(request.body.frame_images[0].file_id, `${id}-input-0.png`);

  // A request that names a video which was deleted is not offered, and one without a known source neither.
  const respond = (members) =>
    page.route(`**/v1/videos/${id}`, async (route) => {
      const response = await route.fetch();
      const { request, ...video } = await response.json();
      await route.fulfill({ response, json: { ...video, ...members } });
    });
  watched.allow(/HTTP 404/, /status of 404/);
  const gone = "video_018f2a4bcd7879a0a123d33d2f68ef1f";
  const edit = { path: "/v1/videos/edits", body: { prompt: "Rain", video: { id: gone } } };
  for (const [members, text] of [
    [{ request: edit }, `Its source ${gone} was deleted`],
    [{}, "The source of this video is not known"],
  ]) {
    await respond(members);
    await page.locator("[data-action=again]").click();
    await page.locator("dialog").getByText(text).waitFor();
    assert.equal(await page.locator("dialog .button-primary").isDisabled(), true);
    await page.keyboard.press("Escape");
    await page.unroute(`**/v1/videos/${id}`);
  }

  // An input that is refused has to be chosen again.
  watched.allow(/HTTP 400/, /status of 400/);
  const missing = { ...frame, image_url: undefined, file_id: "missing.png" };
  await respond({ request: { path: "/v1/videos", body: { ...request.body, frame_images: [missing] } } });
  await page.locator("[data-action=again]").click();
  await page.locator("dialog .button-primary").click();
  await page.locator("dialog").getByText("This input cannot be used again").waitFor();
}

async function owners({ page, url, watched, checkWidths }) {
  watched.allow(/HTTP 401/, /status of 401/);
  await createVideo(url, { prompt: "Video of alice" }, ALICE);
  await createVideo(url, { prompt: "Video of the administrator" }, ADMIN);
  await page.goto(`${url}jobs`);
  await page.locator("#key-input").fill(ADMIN);
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.querySelectorAll(".job .badge-good").length === 2);
  await page.getByText("alice", { exact: true }).waitFor();
  await checkWidths("jobs-owners");
  await page.getByLabel("Owner").fill("alice");
  await page.getByLabel("Owner").press("Enter");
  await page.waitForFunction(() => document.querySelectorAll(".job").length === 1);
  await page.locator(".job a").click();
  await page.locator(".details").getByText("alice", { exact: true }).waitFor();

  // The key of alice sees her video and no owners.
  await page.goto(`${url}jobs`);
  await page.evaluate((key) => sessionStorage.setItem("triptych.key", key), ALICE);
  await page.reload();
  await page.waitForFunction(() => document.querySelectorAll(".job").length === 1);
  assert.equal(await page.getByLabel("Owner").isVisible(), false);
}

async function unreachable({ page, url, watched, checkWidths }) {
  watched.allow(/request failed/, /ERR_FAILED/);
  await page.route("**/v1/videos?*", (route) => route.abort());
  await page.goto(`${url}jobs`);
  await page.getByText("The gateway cannot be reached.").waitFor();
  await checkWidths("jobs-error");
  await page.unroute("**/v1/videos?*");
  await page.getByRole("button", { name: "Try again" }).click();
  await page.getByText("No videos yet").waitFor();
}

const PRICES = `
[webhooks]
callback_secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

[[prices]]
model = "offline-video"
per_second = "0.05"
`;
const KEYS = `
[[keys]]
name = "admin"
secret = "${ADMIN}"
admin = true

[[keys]]
name = "alice"
secret = "${ALICE}"
`;

export default [
  { title: "no videos, unknown video", test: empty },
  { title: "list, filters, details, webhooks, run again", environment: await settings(PRICES), test: listAndDetails },
  { title: "run again with inputs", test: runAgainWithInputs },
  { title: "owners", environment: await settings(KEYS), test: owners },
  { title: "the gateway cannot be reached", test: unreachable },
];
