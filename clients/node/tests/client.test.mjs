// The client, against a running Triptych.

import assert from "node:assert/strict";
import { once } from "node:events";
import { constants, createServer as createHttp2Server } from "node:http2";
import { connect as connectTo, createServer } from "node:net";
import { after, before, test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { connect, errorDetails, v1 } from "triptych-client";
import { API_KEY, Server } from "./server.mjs";

const HELLO = { messages: [{ role: "user", content: { case: "text", value: "Hello" } }], seed: 1n };
const SECOND = { timeoutMs: 1_000 };
const MINUTE = { timeoutMs: 60_000 };
let server, client;

before(async () => {
  server = await Server.start();
  client = connect(server.address, { apiKey: API_KEY, defaultTimeoutMs: 60_000 });
});
after(async () => {
  client.close();
  await server.stop();
});

/** Returns the details of the error with which a call fails. */
async function failure(call) {
  try {
    await call;
  } catch (error) {
    return errorDetails(error);
  }
  assert.fail("the call did not fail");
}

async function readAll(stream) {
  const messages = [];
  for await (const message of stream) messages.push(message);
  return messages;
}

test("unary and streamed chat have the same text", async () => {
  const unary = await client.chat.createChat({ chat: HELLO });
  const chunks = await readAll(client.chat.streamChat({ chat: HELLO }));
  const text = chunks.flatMap((chunk) => chunk.choices.map((choice) => choice.delta?.content ?? "")).join("");
  assert.ok(chunks.length > 2);
  assert.equal(text, unary.choices[0].message.content.value);
});

test("a stream ends when its signal is aborted", async () => {
  const stop = new AbortController();
  const details = await failure(
    (async () => {
      for await (const _ of client.chat.streamChat({ chat: HELLO }, { signal: stop.signal })) stop.abort();
    })(),
  );
  assert.equal(details.code, Code.Canceled);
});

test("a required tool is called", async () => {
  const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
  const response = await client.chat.createChat({
    chat: {
      messages: [{ role: "user", content: { case: "text", value: "What is the weather in Oslo?" } }],
      tools: [{ type: "function", function: { name: "weather", parametersJson: JSON.stringify(parameters) } }],
      toolChoice: { choice: { case: "mode", value: "required" } },
    },
  });
  const [choice] = response.choices;
  assert.equal(choice.finishReason, "tool_calls");
  assert.equal(choice.message.toolCalls[0].function.name, "weather");
  assert.equal(typeof JSON.parse(choice.message.toolCalls[0].function.arguments).city, "string");
});

test("an image of more than 4 MiB is received", async () => {
  const image = { prompt: "A lighthouse", size: "1792x1792", delivery: v1.ImageDelivery.BYTES };
  const { pictures } = await client.image.generateImages({ image });
  assert.deepEqual([pictures[0].mediaType, pictures[0].width, pictures[0].height], ["image/png", 1792, 1792]);
  assert.ok(pictures[0].data.length > 4 << 20);
});

test("a watch is resumed after a restart", async (t) => {
  const own = await Server.start();
  t.after(() => own.stop());
  const client = connect(own.address, { apiKey: API_KEY });
  t.after(() => client.close());
  const { video } = await client.video.createVideo({ prompt: "Pan left", size: "640x360", durationSeconds: 4 }, MINUTE);
  const snapshots = [];
  for await (const snapshot of client.watchVideo(video.id, { timeoutMs: 120_000 })) {
    // In the middle of the render, the process is replaced by another one.
    const rendering = v1.Video_State.RENDERING;
    if (snapshot.state === rendering && !snapshots.some(({ state }) => state === rendering)) {
      await own.kill();
      await own.start();
    }
    snapshots.push(snapshot);
  }
  assert.equal(v1.Video_State[snapshots.at(-1).state], "SUCCEEDED");
  assert.ok(snapshots.some(({ state }) => state === v1.Video_State.RENDERING));
  assert.ok(snapshots.every(({ revision }, index) => index === 0 || revision > snapshots[index - 1].revision));
  const parts = await readAll(client.video.downloadVideo({ id: video.id }, MINUTE));
  const file = Buffer.concat(parts.flatMap(({ part }) => (part.case === "data" ? [part.value] : [])));
  assert.equal(file.toString("latin1", 4, 8), "ftyp");
});

/** Starts a proxy to the server that resets its first connections. Returns the client of the proxy. */
async function afterResets(t, resets) {
  const [host, port] = server.address.split(":");
  const proxy = createServer((socket) => {
    if (resets-- > 0) return socket.resetAndDestroy();
    const upstream = connectTo(Number(port), host);
    socket.on("error", () => upstream.destroy()).pipe(upstream);
    return upstream.on("error", () => socket.destroy()).pipe(socket);
  }).listen(0, "127.0.0.1");
  await once(proxy, "listening");
  const client = connect(`127.0.0.1:${proxy.address().port}`, { apiKey: API_KEY, defaultTimeoutMs: 60_000 });
  t.after(() => {
    client.close();
    proxy.close();
  });
  return client;
}

test("calls without side effects are attempted four times", async (t) => {
  const client = await afterResets(t, 3);
  assert.ok((await client.model.listModels({})).models.length > 0);
  const unavailable = await afterResets(t, 4);
  assert.equal((await failure(unavailable.model.listModels({}))).reasonName, "");
});

test("a create is repeated only with an idempotency key", async (t) => {
  const request = { prompt: "Pan left", size: "64x64", durationSeconds: 1 };
  const first = await afterResets(t, 1);
  assert.equal((await failure(first.video.createVideo(request))).reasonName, "");
  const second = await afterResets(t, 1);
  assert.ok((await second.video.createVideo({ ...request, idempotencyKey: "key" })).video.id);
  const chat = await afterResets(t, 1);
  assert.equal((await failure(chat.chat.createChat({ chat: HELLO, idempotencyKey: "key" }))).reasonName, "");
});

/** Starts an HTTP/2 server that responds to every call with `respond(stream)`. Returns a client of it. */
async function scripted(t, respond) {
  const scriptedServer = createHttp2Server().on("stream", respond).listen(0, "127.0.0.1");
  await once(scriptedServer, "listening");
  const client = connect(`127.0.0.1:${scriptedServer.address().port}`);
  t.after(() => {
    client.close();
    scriptedServer.close();
  });
  return client;
}

const GRPC = { ":status": 200, "content-type": "application/grpc+proto" };

test("the pushback of the server replaces the back-off, and a negative one prevents a retry", async (t) => {
  let calls = 0;
  const client = await scripted(t, (stream) => {
    calls++;
    stream.respond({ ...GRPC, "grpc-status": "14", "grpc-retry-pushback-ms": calls < 3 ? "1" : "-1" }, { endStream: true });
  });
  assert.equal((await failure(client.model.listModels({}, MINUTE))).code, Code.Unavailable);
  assert.equal(calls, 3);
});

test("leaving a watch cancels the call and releases its timer, also if snapshots are unread", async (t) => {
  let cancelled;
  const closed = new Promise((resolve) => (cancelled = resolve));
  const client = await scripted(t, (stream) => {
    stream.on("close", () => cancelled(stream.rstCode)).on("error", () => undefined);
    stream.respond(GRPC);
    const frames = [1n, 2n, 3n].map((revision) => {
      const message = toBinary(v1.WatchVideoResponseSchema, create(v1.WatchVideoResponseSchema, { video: { revision } }));
      return Buffer.concat([Buffer.from([0, 0, 0, 0, message.length]), message]);
    });
    stream.write(Buffer.concat(frames));
  });
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
  const before = timers();
  for await (const { revision } of client.watchVideo("video_1", MINUTE)) {
    assert.equal(revision, 1n);
    assert.ok(timers() > before);
    break;
  }
  assert.equal(timers(), before);
  assert.equal(await closed, constants.NGHTTP2_CANCEL);
});

test("waiting for a video returns its final snapshot after every change", async () => {
  const request = { model: "offline-video-fault-fails", prompt: "Pan left", size: "64x64", durationSeconds: 1 };
  const { video } = await client.video.createVideo(request);
  const progress = [];
  const final = await client.waitForVideo(video.id, { onChange: (snapshot) => progress.push(snapshot.progressPercent) });
  assert.equal(final.state, v1.Video_State.FAILED);
  assert.ok(final.error.code);
  assert.deepEqual(
    progress,
    progress.toSorted((a, b) => a - b),
  );
});

test("a watch ends at its timeout and with its signal", async () => {
  const request = { model: "offline-video-fault-stuck", prompt: "Pan left", size: "64x64", durationSeconds: 1 };
  const { video } = await client.video.createVideo(request);
  assert.equal((await failure(client.waitForVideo(video.id, SECOND))).code, Code.DeadlineExceeded);
  const stop = new AbortController();
  const stopped = client.waitForVideo(video.id, { signal: stop.signal, onChange: () => stop.abort() });
  assert.equal((await failure(stopped)).code, Code.Canceled);
});

test("a watch of an unknown video fails at once", async () => {
  assert.equal((await failure(client.waitForVideo("video_none"))).reason, v1.ErrorReason.VIDEO_NOT_FOUND);
});

test("a watch of an unreachable server ends at the reconnect timeout", async () => {
  const own = await Server.start();
  await own.stop();
  const client = connect(own.address);
  const details = await failure(client.waitForVideo("video_none", { reconnectTimeoutMs: 1_000 }));
  assert.deepEqual([details.code, details.reasonName], [Code.Unavailable, ""]);
  client.close();
});

test("a watch whose streams end without a snapshot ends at the reconnect timeout", async (t) => {
  const client = await scripted(t, (stream) => stream.respond({ ...GRPC, "grpc-status": "0" }, { endStream: true }));
  const details = await failure(client.waitForVideo("video_1", { reconnectTimeoutMs: 500 }));
  assert.equal(details.code, Code.Unavailable);
});

test("a deadline ends a slow call", async () => {
  const chat = { ...HELLO, model: "offline-chat-fault-slow" };
  assert.equal((await failure(client.chat.createChat({ chat }, { timeoutMs: 500 }))).code, Code.DeadlineExceeded);
});

test("wrong and missing keys are typed errors", async () => {
  for (const options of [{ apiKey: "a-wrong-one" }, {}]) {
    const client = connect(server.address, options);
    for (const call of [client.model.listModels({}, MINUTE), readAll(client.chat.streamChat({ chat: HELLO }, MINUTE))]) {
      const details = await failure(call);
      assert.equal(details.code, Code.Unauthenticated);
      assert.equal(details.reason, v1.ErrorReason.INVALID_API_KEY);
      assert.ok(details.requestId);
    }
    client.close();
  }
});

test("an invalid field is named", async () => {
  const details = await failure(client.chat.createChat({ chat: { ...HELLO, n: 0 } }));
  assert.deepEqual([details.reason, details.reasonName], [v1.ErrorReason.INVALID_FIELD, "INVALID_FIELD"]);
  assert.deepEqual(
    details.fieldViolations.map((violation) => violation.field),
    ["n"],
  );
  assert.equal(details.retryDelayMs, undefined);
});

test("failures of upstreams have their delay and their risk", async () => {
  const of = (status) => failure(client.chat.createChat({ chat: { ...HELLO, model: `offline-chat-fault-${status}` } }));
  const limited = await of(429);
  assert.equal(limited.reason, v1.ErrorReason.RATE_LIMIT_EXCEEDED);
  assert.deepEqual([limited.retryDelayMs, limited.mayHaveExecuted], [2_000, false]);
  assert.equal((await of(500)).mayHaveExecuted, true);
});
