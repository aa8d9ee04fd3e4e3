// OpenAI's current Node SDK, with only the base URL changed.

import assert from "node:assert/strict";
import OpenAI, { APIUserAbortError, BadRequestError, InternalServerError, NotFoundError, RateLimitError, toFile } from "openai";

const base = process.env.TRIPTYCH_REST;
const client = new OpenAI({ baseURL: `${base}/v1`, apiKey: "not-needed", maxRetries: 0 });
const model = "qwen3-next-80b-a3b-instruct";
const messages = [{ role: "user", content: "Hello" }];
// A video that renders quickly.
const small = { size: "320x180", seconds: "1" };

async function assertFails(kind, status, work, expected = {}) {
  const error = await work().then(
    () => assert.fail(`the call did not fail with ${status}`),
    (error) => error,
  );
  assert.ok(error instanceof kind, `${error.constructor.name}: ${error.message}`);
  assert.equal(error.status, status);
  assert.ok(error.requestID);
  for (const [name, value] of Object.entries(expected)) assert.equal(error[name], value, name);
}

async function waitUntilFinal(id) {
  for (;;) {
    const { data: video, response } = await client.videos.retrieve(id).withResponse();
    if (video.status === "completed" || video.status === "failed") return video;
    const pause = Number(response.headers.get("openai-poll-after-ms"));
    assert.ok(pause > 0, "no openai-poll-after-ms");
    await new Promise((resume) => setTimeout(resume, Math.min(pause, 200)));
  }
}

const isPng = (bytes) => Buffer.from(bytes).subarray(1, 4).toString() === "PNG";

const tests = {
  async "chat completion is returned"() {
    const response = await client.chat.completions.create({ model, messages });
    assert.ok(response.choices[0].message.content);
    assert.equal(response.choices[0].finish_reason, "stop");
    assert.ok(response._request_id && response.usage.total_tokens > 0);
  },

  async "chat completion is streamed with usage"() {
    const stream = await client.chat.completions.create({ model, messages, stream: true, stream_options: { include_usage: true } });
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);
    assert.equal(chunks[0].choices[0].delta.role, "assistant");
    assert.deepEqual(chunks.at(-1).choices, []);
    assert.ok(chunks.at(-1).usage.completion_tokens > 0);
    assert.ok(chunks.slice(0, -1).map((chunk) => chunk.choices[0].delta.content ?? "").join("").length > 0);
  },

  async "tool call makes the round trip in the SDK"() {
    let called;
    const run = client.chat.completions.runTools({
      model,
      messages: [{ role: "user", content: "What is the weather in Paris?" }],
      tools: [
        {
          type: "function",
          function: {
            name: "get_weather",
            parse: JSON.parse,
            function: (argument) => {
              called = argument;
              return "21 degrees";
            },
            parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
          },
        },
      ],
    });
    assert.ok(await run.finalContent());
    assert.equal(typeof called?.city, "string");
  },

  async "structured output follows its schema"() {
    const schema = { type: "object", properties: { count: { type: "integer" }, kind: { enum: ["a", "b"] } }, required: ["count", "kind"], additionalProperties: false };
    const response = await client.chat.completions.parse({ model, messages, response_format: { type: "json_schema", json_schema: { name: "s", schema, strict: true } } });
    const reply = JSON.parse(response.choices[0].message.content);
    assert.ok(Number.isInteger(reply.count) && ["a", "b"].includes(reply.kind));
  },

  async "errors throw the class of their status"() {
    const chat = (members) => () => client.chat.completions.create({ model, messages, ...members });
    await assertFails(NotFoundError, 404, chat({ model: "none" }), { code: "model_not_found", param: "model" });
    await assertFails(BadRequestError, 400, chat({ messages: [] }), { param: "messages", type: "invalid_request_error" });
    await assertFails(RateLimitError, 429, chat({ model: "offline-chat-fault-429" }), { code: "rate_limit_exceeded" });
    await assertFails(InternalServerError, 502, chat({ model: "offline-chat-fault-500" }), { type: "server_error" });
    await assertFails(NotFoundError, 404, () => client.embeddings.create({ model: "x", input: "y" }), { code: "unsupported_endpoint" });
  },

  async "error within a stream is thrown"() {
    const stream = await client.chat.completions.create({ model: "offline-chat-fault-cut", messages, stream: true });
    let received = 0;
    await assert.rejects(async () => {
      for await (const _ of stream) received++;
    }, /cut/);
    assert.ok(received > 0);
  },

  async "stream can be closed early and a call aborted"() {
    const stream = await client.chat.completions.create({ model, messages, stream: true });
    for await (const _ of stream) break;
    const abort = new AbortController();
    const waiting = client.chat.completions.create({ model: "offline-chat-fault-slow", messages }, { signal: abort.signal });
    setTimeout(() => abort.abort(), 100);
    await assert.rejects(waiting, APIUserAbortError);
  },

  async "images are returned as links and as base64"() {
    const linked = await client.images.generate({ prompt: "A lighthouse", size: "256x256" });
    assert.ok(isPng(await (await fetch(linked.data[0].url)).arrayBuffer()));
    const inline = await client.images.generate({ prompt: "A lighthouse", size: "256x256", response_format: "b64_json" });
    assert.ok(isPng(Buffer.from(inline.data[0].b64_json, "base64")));
  },

  async "previews precede the final image"() {
    const stream = await client.images.generate({ prompt: "A harbour", size: "256x256", stream: true, partial_images: 1 });
    const types = [];
    for await (const event of stream) types.push(event.type);
    assert.deepEqual(types, ["image_generation.partial_image", "image_generation.completed"]);
  },

  async "image is edited and made a video, which is remixed, listed and deleted"() {
    const { data } = await client.images.generate({ prompt: "A red barn", size: "512x512", response_format: "b64_json" });
    const file = await toFile(Buffer.from(data[0].b64_json, "base64"), "barn.png", { type: "image/png" });
    const edited = await client.images.edit({ image: file, prompt: "in the snow", size: "512x512", response_format: "b64_json" });
    assert.ok(isPng(Buffer.from(edited.data[0].b64_json, "base64")));

    const created = await client.videos.create({ prompt: "Zoom in slowly", input_reference: file, ...small });
    const video = await waitUntilFinal(created.id);
    assert.deepEqual([video.status, video.progress, video.size, video.seconds], ["completed", 100, "320x180", "1"]);
    const content = await client.videos.downloadContent(video.id);
    assert.equal(content.headers.get("content-type"), "video/mp4");
    assert.equal(Buffer.from(await content.arrayBuffer()).subarray(4, 8).toString(), "ftyp");
    const thumbnail = await client.videos.downloadContent(video.id, { variant: "thumbnail" });
    assert.match(thumbnail.headers.get("content-type"), /^image\//);

    const remix = await client.videos.remix(video.id, { prompt: "Zoom out" });
    assert.equal(remix.remixed_from_video_id, video.id);
    assert.equal((await waitUntilFinal(remix.id)).status, "completed");
    const listed = [];
    for await (const item of client.videos.list({ limit: 1 })) {
      listed.push(item.id);
      if (listed.length === 2) break;
    }
    assert.deepEqual(listed, [remix.id, video.id]);
    assert.equal((await client.videos.delete(video.id)).deleted, true);
    await assertFails(NotFoundError, 404, () => client.videos.retrieve(video.id), { code: "video_not_found" });
  },

  async "video is edited and extended by its id and as a file"() {
    const created = await client.videos.create({ prompt: "Pan left", ...small });
    const source = await waitUntilFinal(created.id);
    const edit = await client.videos.edit({ prompt: "Zoom in", video: { id: source.id } });
    assert.deepEqual([edit.size, edit.seconds, edit.remixed_from_video_id], ["320x180", "1", null]);
    const content = await client.videos.downloadContent(source.id);
    const video = await toFile(Buffer.from(await content.arrayBuffer()), "clip.mp4", { type: "video/mp4" });
    const extension = await client.videos.extend({ prompt: "Pan right", seconds: "4", video });
    for (const { id } of [edit, extension]) assert.equal((await waitUntilFinal(id)).status, "completed");
    await assertFails(NotFoundError, 404, () => client.videos.edit({ prompt: "x", video: { id: "video_unknown" } }), { code: "video_not_found" });
  },

  async "video reference may be a data URL"() {
    const { data } = await client.images.generate({ prompt: "A pond", size: "256x256", response_format: "b64_json" });
    const created = await client.videos.create({ prompt: "Pan right", input_reference: { image_url: `data:image/png;base64,${data[0].b64_json}` }, ...small });
    assert.equal((await waitUntilFinal(created.id)).status, "completed");
  },

  async "video frames and further parameters are sent beside the SDK's"() {
    const { data } = await client.images.generate({ prompt: "A pond", size: "256x256", response_format: "b64_json" });
    const image_url = { url: `data:image/png;base64,${data[0].b64_json}` };
    const first = { type: "image_url", image_url, frame_type: "first_frame" };
    const further = { resolution: "144p", aspect_ratio: "9:16", duration: 1 };
    const created = await client.videos.create({ prompt: "Pan right", frame_images: [first], ...further });
    const video = await waitUntilFinal(created.id);
    assert.deepEqual([video.status, video.size, video.seconds], ["completed", "144x256", "1"]);
    const frame_images = [first, { ...first, frame_type: "last_frame" }];
    const both = await client.videos.create({ prompt: "Pan right", frame_images, ...further });
    assert.equal((await waitUntilFinal(both.id)).status, "completed");
    const twice = () => client.videos.create({ prompt: "Pan right", frame_images: [first, first], ...further });
    await assertFails(BadRequestError, 400, twice, { param: "frame_images[1]" });
  },

  async "models are listed and retrieved"() {
    const models = [];
    for await (const found of client.models.list()) models.push(found.id);
    assert.ok(models.includes(model));
    assert.equal((await client.models.retrieve(model)).id, model);
  },
};

const failed = [];
for (const [name, test] of Object.entries(tests)) {
  const start = performance.now();
  let verdict = "ok  ";
  try {
    await test();
  } catch (error) {
    console.error(error);
    failed.push(name);
    verdict = "FAIL";
  }
  console.log(`  ${verdict} ${name} (${((performance.now() - start) / 1000).toFixed(1)} s)`);
}
if (failed.length > 0) {
  console.error(`${failed.length} failed: ${failed.join("; ")}`);
  process.exit(1);
}
