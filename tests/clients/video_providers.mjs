// Videos with Triptych in front of every provider: OpenAI's Node SDK, and the AI SDK with its OpenRouter provider. The AI SDK's own
// clients of vendors call the scripted providers themselves.
//
// Reads the providers as JSON from the standard input, and writes a line for each video: provider, prompt, and the bytes in
// hexadecimal form, with tabs between them.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createAlibaba } from "@ai-sdk/alibaba";
import { createByteDance } from "@ai-sdk/bytedance";
import { createXai } from "@ai-sdk/xai";
import { createOpenRouter } from "@openrouter/ai-sdk-provider";
import { experimental_generateVideo as generateVideo } from "ai";
import OpenAI, { NotFoundError, toFile } from "openai";

const { picture, size, seconds, key, providers } = JSON.parse(readFileSync(0, "utf8"));
const bytes = Buffer.from(picture, "base64");
const pollIntervalMs = 100;
// Turns off the AI SDK's warnings about parameters that a vendor does not support.
globalThis.AI_SDK_LOG_WARNINGS = false;

function report(name, prompt, data) {
  console.log([name, prompt, Buffer.from(data).toString("hex")].join("\t"));
}

async function waitUntilFinal(client, id) {
  for (;;) {
    const video = await client.videos.retrieve(id);
    if (video.status === "completed" || video.status === "failed") return video;
    await new Promise((resume) => setTimeout(resume, pollIntervalMs));
  }
}

async function checkOpenAI({ name, rest, model, needsPicture }) {
  const client = new OpenAI({ baseURL: rest, apiKey: "not-needed", maxRetries: 0 });
  const reference = needsPicture ? { input_reference: await toFile(bytes, "start.png", { type: "image/png" }) } : {};
  const download = async ({ id, prompt }) => report(name, prompt, await (await client.videos.downloadContent(id)).arrayBuffer());

  const created = await client.videos.create({ model, prompt: "node", size: "1280x720", seconds: "4", ...reference });
  const video = await waitUntilFinal(client, created.id);
  assert.deepEqual([video.status, video.progress, video.model, video.size, video.seconds], ["completed", 100, model, size, seconds]);
  await download(video);
  const thumbnail = await client.videos.downloadContent(video.id, { variant: "thumbnail" });
  assert.equal(thumbnail.headers.get("content-type"), "image/jpeg");

  const started = await client.videos.remix(video.id, { prompt: "node, remix" });
  const remix = await waitUntilFinal(client, started.id);
  assert.deepEqual([remix.status, remix.remixed_from_video_id], ["completed", video.id]);
  await download(remix);

  const listed = [];
  for await (const item of client.videos.list({ limit: 1 })) {
    // Other clients create videos at the same time.
    if ([video.id, remix.id].includes(item.id)) listed.push(item.id);
    if (listed.length === 2) break;
  }
  assert.deepEqual(listed, [remix.id, video.id]);
  assert.equal((await client.videos.delete(video.id)).deleted, true);
  await assert.rejects(client.videos.retrieve(video.id), NotFoundError);
}

// The AI SDK downloads from public addresses only.
async function download({ url }) {
  const response = await fetch(url);
  assert.equal(response.status, 200);
  return { data: new Uint8Array(await response.arrayBuffer()), mediaType: response.headers.get("content-type") };
}

async function checkOpenRouter({ name, rest, model, needsPicture }) {
  const provider = createOpenRouter({ baseURL: rest.replace("/v1", "/api/v1"), apiKey: "not-needed" });
  const videos = provider.videoModel(model, { pollIntervalMs });
  for (const [text, image] of [["ai sdk", needsPicture ? bytes : undefined], ["ai sdk, image", bytes]]) {
    const prompt = image ? { text, image } : text;
    const { video } = await generateVideo({ model: videos, prompt, resolution: "1280x720", duration: 4, maxRetries: 0, download });
    assert.equal(video.mediaType, "video/mp4");
    report(name, text, video.uint8Array);
  }
}

async function checkFailures({ rest, model }) {
  const provider = createOpenRouter({ baseURL: rest.replace("/v1", "/api/v1"), apiKey: "not-needed" });
  const fail = (model, prompt) => generateVideo({ model: provider.videoModel(model, { pollIntervalMs }), prompt, maxRetries: 0, download });
  await assert.rejects(fail("no-such-model", "a boat"), /no-such-model/);
  await assert.rejects(fail("offline-video-fault-fails", "a boat"), (error) => error.message && !/JSON|schema|Invalid/.test(error.message));
  await assert.rejects(fail(model, ""), /prompt/);
}

async function checkVendor({ name, upstream }) {
  const prompt = `${name} in the ai sdk`;
  const model = {
    seedance: () => createByteDance({ apiKey: key, baseURL: `${upstream}/api/v3` }).video("doubao-seedance-1-5-pro-251215"),
    wan: () => createAlibaba({ apiKey: key, videoBaseURL: upstream }).video("wan2.6-t2v"),
    xai: () => createXai({ apiKey: key, baseURL: `${upstream}/v1` }).video("grok-imagine-video-1.5"),
  }[name]();
  const vendor = { seedance: "bytedance", wan: "alibaba", xai: "xai" }[name];
  const { video } = await generateVideo({
    model, prompt, aspectRatio: "16:9", duration: 5, maxRetries: 0, download, poll: { intervalMs: pollIntervalMs }, providerOptions: { [vendor]: { pollIntervalMs } },
  });
  report(name, prompt, video.uint8Array);
}

async function check(provider) {
  try {
    await checkOpenAI(provider);
    await checkOpenRouter(provider);
    if (["seedance", "wan", "xai"].includes(provider.name)) await checkVendor(provider);
  } catch (error) {
    error.message = `${provider.name}: ${error.message}`;
    throw error;
  }
}

await Promise.all(providers.map(check));
await checkFailures(providers[0]);
