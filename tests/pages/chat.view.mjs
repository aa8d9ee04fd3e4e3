// The playground's panel "Chat": conversations by keyboard, tools, JSON output, pictures, and errors.
import assert from "node:assert/strict";

/// A picture of one pixel.
const PIXEL = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
  "base64",
);

const KEY = "a-secret-of-the-tests-2";

/// The engine without its delay between tokens.
const FAST = { TRIPTYCH_OFFLINE_CHAT_TOKENS_PER_SECOND: "0" };

/// Opens the panel, and returns the bodies of its requests as they are sent.
async function open(page, url) {
  const bodies = [];
  page.on("request", (request) => {
    if (request.url().endsWith("/v1/chat/completions")) bodies.push(request.postDataJSON());
  });
  await page.goto(`${url}playground#chat`);
  await page.getByText("Built-in mock").waitFor();
  return bodies;
}

/// Sends a message and waits for the end of the reply, which is the `count`th turn.
async function send(page, text, count) {
  await page.fill(".composer textarea", text);
  await page.keyboard.press("Enter");
  await page.waitForSelector(`.turn-reply:nth-child(${count})[aria-busy=false]`);
}

async function conversation({ page, url, watched, checkWidths }) {
  const bodies = await open(page, url);
  await checkWidths("chat-empty");
  await watched.tabTo("summary");
  await watched.tabTo(".composer textarea");
  await page.keyboard.type("Explain");
  await page.keyboard.press("Shift+Enter");
  await page.keyboard.type("gateways");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".turn-reply[aria-busy=true] .markdown > *");
  await page.waitForSelector(".turn-reply[aria-busy=false]");
  assert.deepEqual(bodies[0].messages, [{ role: "user", content: "Explain\ngateways" }]);
  assert.deepEqual([bodies[0].stream, bodies[0].stream_options], [true, { include_usage: true }]);
  assert.ok((await page.locator(".markdown li").count()) > 0, "the list in the reply is not rendered");
  const meta = await page.locator(".turn-reply .meta").textContent();
  assert.match(meta, /\d+ \+ \d+ tokens.*first token after \d.*in total.*cost \$0\.00.*req_/);
  assert.equal(await page.locator("[role=status]", { hasText: "The reply is complete" }).count(), 1);

  // The system prompt and the parameters are part of the next call, and the earlier turns, too.
  await page.getByLabel("System prompt").fill("Be brief.");
  await page.getByLabel("Temperature").fill("0.5");
  await page.getByLabel("Maximum tokens").fill("12");
  await send(page, "And routers?", 4);
  assert.deepEqual(
    bodies[1].messages.map(({ role }) => role),
    ["system", "user", "assistant", "user"],
  );
  assert.deepEqual([bodies[1].temperature, bodies[1].max_tokens], [0.5, 12]);
  await page.getByText("maximum number of tokens").waitFor();
  await checkWidths("chat");

  // Again, then with another message.
  await page.getByRole("button", { name: "Generate the reply again" }).click();
  await page.waitForSelector(".turn-reply:nth-child(4)[aria-busy=false] .meta");
  assert.deepEqual(bodies[2].messages, bodies[1].messages);
  await page.getByRole("button", { name: "Edit", exact: true }).click();
  assert.equal(await page.inputValue(".composer textarea"), "And routers?");
  await page.fill(".composer textarea", "And bridges?");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.querySelector(".turn:nth-child(3)").textContent.includes("bridges"));
  await page.waitForSelector(".turn-reply:nth-child(4)[aria-busy=false]");
  assert.equal(await page.locator(".turn").count(), 4);
  assert.equal(bodies[3].messages.at(-1).content, "And bridges?");

  await page.reload();
  await page.getByText("And bridges?").waitFor();
  assert.equal(await page.locator(".turn").count(), 4);
  assert.equal(await page.getByLabel("System prompt").inputValue(), "Be brief.");
  await page.getByRole("button", { name: "Clear" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Clear" }).click();
  await page.getByText("No messages yet").waitFor();
  await page.reload();
  await page.getByText("No messages yet").waitFor();
}

async function tools({ page, url, checkWidths }) {
  const bodies = await open(page, url);
  await page.locator("summary", { hasText: "Tools" }).click();
  const definitions = page.getByLabel("Tool definitions");
  await definitions.fill("[{");
  await page.fill(".composer textarea", "The weather in Paris?");
  await page.keyboard.press("Enter");
  await page.getByText("This is not valid JSON").waitFor();
  assert.ok(await definitions.evaluate((area) => area === document.activeElement));
  assert.equal(bodies.length, 0);
  const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
  await definitions.fill(JSON.stringify([{ type: "function", function: { name: "get_weather", parameters } }]));
  await send(page, "The weather in Paris?", 2);
  const card = page.locator(".tool-card");
  assert.match(await card.locator(".code pre").textContent(), /"city": "/);
  await card.getByLabel("Result").fill("22 °C and *sunny*");
  await checkWidths("chat-tools");
  await page.getByRole("button", { name: "Send the results" }).click();
  await page.waitForSelector(".turn-reply:nth-child(4)[aria-busy=false]");
  const [, call, result] = bodies[1].messages;
  assert.equal(call.tool_calls[0].function.name, "get_weather");
  assert.deepEqual(result, { role: "tool", tool_call_id: call.tool_calls[0].id, content: "22 °C and *sunny*" });
  assert.match(await page.locator(".turn-reply:nth-child(4) blockquote").textContent(), /22 °C/);
  assert.equal(await page.locator(".tool-card textarea").count(), 0);
}

async function jsonOutput({ page, url }) {
  const bodies = await open(page, url);
  await page.locator("summary", { hasText: "JSON output" }).click();
  const schema = {
    type: "object",
    properties: { title: { type: "string" } },
    required: ["title"],
    additionalProperties: false,
  };
  await page.getByLabel("JSON Schema").fill(JSON.stringify(schema));
  await page.getByLabel("Stream the reply").uncheck();
  await send(page, "A title", 2);
  assert.deepEqual(bodies[0].response_format.json_schema.schema, schema);
  assert.equal(bodies[0].stream, undefined);
  assert.equal(typeof JSON.parse(await page.locator(".turn-reply .markdown").textContent()).title, "string");
  assert.match(await page.locator(".turn-reply .meta").textContent(), /cost \$0\.00/);
}

async function pictures({ page, url }) {
  const bodies = await open(page, url);
  await page.setInputFiles(".composer input[type=file]", { name: "a.png", mimeType: "image/png", buffer: PIXEL });
  await page.evaluate((base64) => {
    const files = new DataTransfer();
    files.items.add(new File([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], "b.png", { type: "image/png" }));
    const area = document.querySelector(".composer textarea");
    area.dispatchEvent(new ClipboardEvent("paste", { clipboardData: files, bubbles: true, cancelable: true }));
    area.dispatchEvent(new DragEvent("drop", { dataTransfer: files, bubbles: true, cancelable: true }));
  }, PIXEL.toString("base64"));
  assert.equal(await page.locator(".composer .thumbnail").count(), 3);
  await page.getByRole("button", { name: "Remove picture 3" }).click();
  await page.setInputFiles(".composer input[type=file]", { name: "c.txt", mimeType: "text/plain", buffer: PIXEL });
  await page.getByText("Only PNG, JPEG and WebP").waitFor();
  await send(page, "What is this?", 2);
  const [text, first, second, ...others] = bodies[0].messages[0].content;
  assert.deepEqual([text, others], [{ type: "text", text: "What is this?" }, []]);
  const expected = `data:image/png;base64,${PIXEL.toString("base64")}`;
  assert.deepEqual([first.image_url.url, second.image_url.url], [expected, expected]);
  assert.match(await page.locator(".turn-reply").textContent(), /image/);
  assert.equal(await page.locator(".turn-user img").count(), 2);
  assert.equal(await page.locator(".composer .thumbnail").count(), 0);
  await page.reload();
  await page.locator(".turn-user img").first().waitFor();
  assert.equal(await page.locator(".turn-user img").count(), 2);
}

async function stopped({ page, url, watched }) {
  watched.allow(/request failed: POST .*ERR_ABORTED/);
  await open(page, url);
  await page.fill(".composer textarea", "A long story");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".turn-reply .markdown > *");
  await page.getByRole("button", { name: "Stop" }).click();
  await page.getByText("Stopped", { exact: true }).waitFor();
  assert.ok(await page.getByRole("button", { name: "Generate the reply again" }).isVisible());
}

async function failures({ page, url, watched, checkWidths }) {
  watched.allow(/HTTP 429: POST/, /status of 429/);
  const bodies = await open(page, url);
  await page.getByLabel("Model", { exact: true }).selectOption("Other…");
  await page.getByLabel("Name of the model").fill("offline-chat-fault-429");
  await page.fill(".composer textarea", "Hello");
  await page.keyboard.press("Enter");
  await page.getByText("fault injection: rate limit").waitFor();
  await page.getByText("Try again in 2 s.").waitFor();
  assert.equal(bodies[0].model, "offline-chat-fault-429");
  await checkWidths("chat-error");

  // A stream that breaks keeps the text that has arrived.
  await page.getByLabel("Name of the model").fill("offline-chat-fault-cut");
  await page.locator(".notice-bad").getByRole("button", { name: "Try again" }).click();
  await page.getByText("fault injection: stream cut").waitFor();
  assert.ok((await page.locator(".turn-reply .markdown").textContent()).length > 0);
  assert.equal(await page.locator(".turn").count(), 2);
}

async function keyNeeded({ page, url, watched }) {
  watched.allow(/HTTP 401: GET .*v1\/models/, /status of 401/);
  await page.goto(`${url}playground`);
  await page.getByText("This gateway requires an API key.").waitFor();
  await page.locator(".workbench").getByRole("button", { name: "Set the API key" }).click();
  await page.keyboard.type(KEY);
  await page.keyboard.press("Enter");
  await page.getByText("Built-in mock").waitFor();
  await send(page, "Hello", 2);
  const stored = await page.evaluate(() => ({ ...sessionStorage }));
  const places = Object.entries(stored).filter(([, value]) => value.includes(KEY));
  assert.deepEqual(
    places.map(([name]) => name),
    ["triptych.key"],
  );
}

export default [
  { title: "a conversation", test: conversation },
  { title: "tools", environment: FAST, test: tools },
  { title: "JSON output, without a stream", environment: FAST, test: jsonOutput },
  { title: "pictures", environment: FAST, test: pictures },
  { title: "a reply is stopped", environment: { TRIPTYCH_OFFLINE_CHAT_TOKENS_PER_SECOND: "8" }, test: stopped },
  { title: "errors say what to do", environment: FAST, test: failures },
  { title: "with an API key", environment: FAST, keys: `tester:${KEY}`, test: keyNeeded },
  {
    title: "in Chinese",
    locale: "zh-CN",
    environment: FAST,
    test: async ({ page, url, checkWidths }) => {
      await page.goto(`${url}playground`);
      await page.getByText("内置模拟").waitFor();
      await page.fill(".composer textarea", "你好");
      await page.keyboard.press("Enter");
      await page.waitForSelector(".turn-reply[aria-busy=false]");
      await page.getByText(/\d+ 个 token/).waitFor();
      await checkWidths("chat-zh");
    },
  },
];
