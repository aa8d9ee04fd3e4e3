// The playground's videos: the form follows the model, a video is created, followed and used for others.
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/// Prices, so that there are estimates.
const SETTINGS = `
[[prices]]
model = "offline-video"
per_second = "0.05"
`;

async function withPrices() {
  const file = join(await mkdtemp(join(tmpdir(), "triptych-videos-")), "triptych.toml");
  await writeFile(file, SETTINGS);
  return { TRIPTYCH_CONFIG: file };
}

async function openForm(page, url) {
  await page.goto(`${url}playground#videos`);
  await page.waitForSelector(".video-form");
}

/// Sets the smallest and shortest clip.
async function smallClip(page) {
  await page.selectOption("[data-field=size] select", "other");
  await page.fill("[data-field=size] .input", "128x96");
  await page.fill("[data-field=seconds] input", "1");
}

async function createAndUse({ page, url, checkWidths }) {
  await openForm(page, url);
  // What the model does not have has no field; what it has is there.
  const names = await page
    .locator(".video-form .field[data-field]")
    .evaluateAll((all) => all.map((f) => f.dataset.field));
  assert.deepEqual(names, [
    "prompt",
    "model",
    "size",
    "seconds",
    "generate_audio",
    "seed",
    "fit_policy",
    "callback_url",
    "extra",
  ]);
  await page.getByText("$0.15").waitFor();
  await smallClip(page);
  await page.getByText("$0.05").waitFor();
  await checkWidths("videos-form");

  await page.fill("[data-field=prompt] textarea", "Slow pan over hills");
  await page.getByRole("button", { name: "Create the video" }).click();
  const card = page.locator(".video-card").first();
  await card.locator(".badge-good").waitFor();
  const video = card.locator("video");
  await page.waitForFunction(() => document.querySelector(".video-card video").videoWidth > 0);
  assert.deepEqual(await video.evaluate((video) => [video.videoWidth, video.videoHeight]), [128, 96]);
  assert.equal(await card.locator(".frame").count(), 16);
  await card.locator(".frame").first().focus();
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("End");
  await page.keyboard.press("Enter");
  assert.ok((await video.evaluate((video) => video.currentTime)) > 0.5);
  await checkWidths("videos-result");

  // A remix, an edit and an extension are new videos.
  for (const [action, prompt] of [
    ["remix", "Slow zoom in on hills"],
    ["edit", "Make it rain"],
    ["extend", "The hills go on"],
  ]) {
    const count = await page.locator(".video-card").count();
    await page.locator(".video-card").last().locator(`[data-action=${action}]`).click();
    const dialog = page.locator("dialog");
    await dialog.locator("textarea").fill(prompt);
    if (action === "extend") await dialog.locator("input[type=number]").fill("1");
    await dialog.locator(".button-primary").click();
    await page.waitForFunction((count) => document.querySelectorAll(".video-card").length > count, count);
    const next = page.locator(".video-card").first();
    assert.equal(await next.locator(".prompt-quote").textContent(), prompt);
    await next.locator(".badge-good").waitFor();
  }

  // The videos of the tab survive a reload.
  await page.reload();
  await page.waitForFunction(() => document.querySelectorAll(".video-card video").length === 4);
  await page.locator(".video-card").first().locator("[data-action=delete]").click();
  await page.locator("dialog .button-danger").click();
  await page.waitForFunction(() => document.querySelectorAll(".video-card").length === 3);
}

async function frames({ page, url, checkWidths }) {
  await openForm(page, url);
  await smallClip(page);
  const picture = await page.evaluate(() => {
    const canvas = document.createElement("canvas");
    canvas.width = 128;
    canvas.height = 96;
    const context = canvas.getContext("2d");
    context.fillStyle = "teal";
    context.fillRect(0, 0, 128, 96);
    return canvas.toDataURL("image/png");
  });
  const file = { name: "first.png", mimeType: "image/png", buffer: Buffer.from(picture.split(",")[1], "base64") };
  await page.getByRole("tab", { name: "Frames" }).click();
  const first = page.locator("[data-field=frame_images]").first();
  await first.locator("input[type=file]").setInputFiles({ ...file, name: "notes.txt", mimeType: "text/plain" });
  await first.getByText("this type of file is not accepted").waitFor();
  await first.locator("input[type=file]").setInputFiles(file);
  await first.locator("img").waitFor();
  await checkWidths("videos-frames");
  const request = page.waitForRequest((request) => request.url().endsWith("/v1/videos") && request.method() === "POST");
  await page.getByRole("button", { name: "Create the video" }).click();
  const json = (await request).postDataJSON();
  assert.deepEqual(json.frame_images, [{ type: "image_url", image_url: { url: picture }, frame_type: "first_frame" }]);
  assert.equal(json.size, "128x96");
  await page.locator(".video-card .badge-good").waitFor();

  await page.getByRole("tab", { name: "References" }).click();
  await page
    .locator("[data-field=input_references] input[type=file]")
    .setInputFiles([file, { ...file, name: "second.png" }]);
  await page.getByText("Images: 2 of 8").waitFor();
  await page.getByRole("button", { name: "Remove second.png" }).click();
  await page.getByText("Images: 1 of 8").waitFor();
  await checkWidths("videos-references");
}

async function errorsAtFields({ page, url, watched }) {
  watched.allow(/HTTP 400: POST .*estimate\/videos/, /HTTP 400: POST .*v1\/videos$/, /status of 400/);
  await openForm(page, url);
  await smallClip(page);
  await page.fill("[data-field=size] .input", "127x96");
  const error = page.locator("[data-field=size] .field-error");
  // The estimate already reports the error.
  await error.getByText("size").waitFor();
  await page.fill("[data-field=size] .input", "128x96");
  await error.waitFor({ state: "hidden" });
  await page.getByRole("tab", { name: "Frames" }).click();
  const last = page.locator("[data-field=frame_images]").last();
  const noPicture = { name: "broken.png", mimeType: "image/png", buffer: Buffer.from("no picture") };
  await last.locator("input[type=file]").setInputFiles(noPicture);
  await last.locator(".field-error").getByText("image").waitFor();
  assert.equal(await page.locator(".field-error:not([hidden])").count(), 1);
  await page.getByRole("button", { name: "Remove broken.png" }).click();
  await page.locator(".more summary").click();
  await page.fill("[data-field=callback_url] input", "http://127.0.0.1/hook");
  await page.getByRole("button", { name: "Create the video" }).click();
  await page.locator("[data-field=callback_url] .field-error").getByText("callback_url").waitFor();
  assert.equal(await page.locator(".video-card").count(), 0);
}

async function cancel({ page, url }) {
  await page.addInitScript(() => sessionStorage.setItem("triptych.playground.videos", "[]"));
  await page.goto(url);
  const id = await page.evaluate(async () => {
    const body = JSON.stringify({ model: "offline-video-fault-stuck", prompt: "Waves", size: "64x64", seconds: 1 });
    const headers = { "content-type": "application/json" };
    return (await (await fetch("v1/videos", { method: "POST", body, headers })).json()).id;
  });
  await page.addInitScript((id) => sessionStorage.setItem("triptych.playground.videos", JSON.stringify([id])), id);
  await openForm(page, url);
  const card = page.locator(".video-card");
  await card.locator("progress").waitFor();
  await card.locator("[data-action=cancel]").click();
  await page.locator("dialog .button-danger").click();
  await card.getByText("The video was cancelled").waitFor();
}

/// A model with fixed sizes and durations, sound by default, and no frames: its fields are selects of these.
async function otherModel({ page, url, checkWidths }) {
  await page.route("**/v1/models", async (route) => {
    const response = await route.fetch();
    const json = await response.json();
    const mock = json.data.find(({ modality }) => modality === "video");
    const video = {
      ...mock.video,
      supported_resolutions: ["720p", "1080p"],
      supported_aspect_ratios: ["16:9", "9:16"],
      supported_durations: [4, 8],
      supported_frame_images: [],
      max_reference_images: 0,
      max_reference_videos: 0,
      max_reference_sounds: 0,
      audio: "default_on",
      negative_prompt: true,
      seed: false,
    };
    json.data.push({ ...mock, id: "other-video", owned_by: "other", default: false, aliases: [], video });
    await route.fulfill({ json });
  });
  await page.route("**/v1/estimate/videos", (route) => route.fulfill({ json: { cost: null, adjustments: [] } }));
  await openForm(page, url);
  await page.selectOption("[data-field=model] select", "other-video");
  const options = (name) => page.locator(`[data-field=${name}] option`).allTextContents();
  assert.deepEqual(await options("resolution"), ["Default of the model", "720p", "1080p"]);
  assert.deepEqual(await options("aspect_ratio"), ["Default of the model", "16:9", "9:16"]);
  assert.deepEqual(await options("seconds"), ["Default of the model", "4 seconds", "8 seconds"]);
  assert.deepEqual(await options("generate_audio"), ["Default (on)", "Off"]);
  for (const absent of ["size", "seed", "frame_images", "input_references"])
    assert.equal(await page.locator(`[data-field=${absent}]`).count(), 0, absent);
  assert.equal(await page.locator("[data-field=negative_prompt]").count(), 1);
  await page.click("#language-button");
  await page.getByText("模型默认值").first().waitFor({ state: "attached" });
  assert.deepEqual(await options("seconds"), ["模型默认值", "4 秒", "8 秒"]);
  await checkWidths("videos-zh");
}

export default [
  { title: "create, remix, edit, extend, delete", environment: await withPrices(), test: createAndUse },
  { title: "frames and references", test: frames },
  { title: "errors are at their fields", test: errorsAtFields },
  { title: "a video is cancelled", test: cancel },
  { title: "fields follow from the model", test: otherModel },
];
