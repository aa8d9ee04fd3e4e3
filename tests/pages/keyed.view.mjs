// Images, videos and documentation of a gateway that requires an API key: the page asks for it, and sends it with every call, event
// stream and upload. Chat, jobs and usage have such tests of their own.
import assert from "node:assert/strict";

const KEY = "a-secret-of-the-tests-5";
const keys = `tester:${KEY}`;

/// Chooses a picture of one colour as a file.
async function choosePicture(page, selector) {
  const picture = await page.evaluate(() => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [128, 96];
    canvas.getContext("2d").fillRect(0, 0, 128, 96);
    return canvas.toDataURL("image/png").split(",")[1];
  });
  const buffer = Buffer.from(picture, "base64");
  await page.setInputFiles(selector, { name: "picture.png", mimeType: "image/png", buffer });
}

/// Enters the key in the dialog.
async function enterKey(page) {
  await page.locator("#key-input").fill(KEY);
  await page.keyboard.press("Enter");
}

/// Records the calls of the API with the key, as `METHOD PATH`; the ids of videos are left out.
function callsWithKey(page) {
  const calls = new Set();
  page.on("request", (request) => {
    const path = new URL(request.url()).pathname.replace(/video_[0-9a-f]+/, "ID");
    if (request.headers().authorization === `Bearer ${KEY}`) calls.add(`${request.method()} ${path}`);
  });
  return calls;
}

function assertCalls(calls, ...expected) {
  for (const call of expected) assert.ok(calls.has(call), `no ${call} with the key, only ${[...calls].join(", ")}`);
}

async function images({ page, url, watched }) {
  watched.allow(/HTTP 401: GET .*v1\/models/, /status of 401/);
  const calls = callsWithKey(page);
  await page.goto(`${url}playground#images`);
  await page.locator(".workbench").getByRole("button", { name: "Set the API key" }).click();
  await enterKey(page);
  await page.getByText("Built-in mock").waitFor();

  // Previews come as events.
  await page.getByLabel("Size", { exact: true }).selectOption("512 × 512");
  await page.fill(".images-prompt", "A boat");
  await page.getByRole("button", { name: "Generate" }).click();
  await page.waitForSelector(".tile-badge");
  await page.waitForSelector(".entry[aria-busy=false] .tile-open img");
  const [download] = await Promise.all([page.waitForEvent("download"), page.click("a[download]")]);
  assert.equal(await download.failure(), null);

  // An edit uploads its picture.
  await choosePicture(page, ".workbench input[type=file]");
  await page.getByRole("button", { name: "Edit the pictures" }).click();
  await page.waitForSelector(".entry:nth-child(2)");
  await page.waitForSelector(".entry:first-child[aria-busy=false] .tile-open img");
  assertCalls(calls, "GET /v1/models", "POST /v1/images/generations", "POST /v1/images/edits");
}

async function videos({ page, url, watched }) {
  watched.allow(/HTTP 401: GET .*v1\/models/, /status of 401/);
  const calls = callsWithKey(page);
  await page.goto(`${url}playground#videos`);
  await enterKey(page);
  await page.waitForSelector(".video-form");
  await page.selectOption("[data-field=size] select", "other");
  await page.fill("[data-field=size] .input", "128x96");
  await page.fill("[data-field=seconds] input", "1");
  await page.fill("[data-field=prompt] textarea", "Waves");
  await page.getByRole("tab", { name: "Frames" }).click();
  await choosePicture(page, "[data-field=frame_images] input[type=file] >> nth=0");
  await page.getByRole("button", { name: "Create the video" }).click();
  await page.locator(".video-card .badge-good").waitFor();

  // The player sends no key, as no element does: its links need none.
  const video = page.locator(".video-card video");
  await video.evaluate((video) => video.play());
  await page.waitForFunction(() => document.querySelector(".video-card video").currentTime > 0.2);
  await page.locator(".video-card .frame").first().waitFor();
  const [download] = await Promise.all([page.waitForEvent("download"), page.click("a[download$='.mp4']")]);
  assert.equal(await download.failure(), null);
  assert.ok(!(await page.content()).includes(KEY), "the key is in the page");
  assertCalls(calls, "GET /v1/models", "POST /v1/estimate/videos", "POST /v1/videos", "GET /v1/videos/ID/events");
}

/// The document needs no key. With one, the examples name the variable that has it, and not the key.
async function docs({ page, url }) {
  const code = page.locator(".code pre").first();
  await page.goto(`${url}docs#createVideo`);
  await code.waitFor();
  assert.doesNotMatch(await code.textContent(), /Authorization/);
  await page.click("#key-button");
  await enterKey(page);
  await page.waitForFunction(() => /Bearer \$KEY/.test(document.querySelector(".code pre").textContent));
  await page.click("#docs-title");
  assert.ok(!(await page.content()).includes(KEY), "the key is in the page");
  const [, target] = (await code.textContent()).match(/^curl (?:-\S+ )*(http\S+)/);
  const [, body] = (await code.textContent()).match(/-d '([^']+)'/);
  const headers = { "content-type": "application/json", authorization: `Bearer ${KEY}` };
  assert.equal((await fetch(target, { method: "POST", headers: { ...headers, authorization: "" }, body })).status, 401);
  assert.equal((await fetch(target, { method: "POST", headers, body })).status, 200);

  // The page on which the operation can be tried has the key of the tab.
  await page.locator(".endpoint-try").click();
  await page.waitForSelector(".video-form");
}

export default [
  { title: "images with an event stream and an upload", keys, test: images },
  { title: "a video with a frame, its player and its file", keys, test: videos },
  { title: "the documentation", keys, test: docs },
];
