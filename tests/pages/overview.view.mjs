// The overview: each panel is tried by keyboard, in English and Chinese, without and with API keys.
import assert from "node:assert/strict";

const KEY = "a-secret-of-the-tests-1";

/// Sets the prompt of a panel and sends it, by keyboard.
async function send(page, watched, panel, prompt) {
  await watched.tabTo(`.card-${panel} textarea`);
  await page.keyboard.press("Control+A");
  await page.keyboard.type(prompt);
  await watched.tabTo(`.card-${panel} .try button`);
  await page.keyboard.press("Enter");
}

async function everyControlByKeyboard({ page, url, watched, checkWidths }) {
  await page.goto(url);
  await page.waitForSelector(".card-video .try");
  assert.equal(await page.title(), "Triptych");
  assert.deepEqual(await page.locator(".panel .badge").allTextContents(), Array(3).fill("Built-in mock"));
  await page.getByText("Ready", { exact: true }).waitFor();
  assert.equal(await page.locator(".connection-url").textContent(), `${url}v1`);
  await checkWidths("overview");

  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the content");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "main");

  await send(page, watched, "chat", "Count to three");
  const reply = page.locator(".card-chat .try-reply");
  await page.waitForFunction(() => document.querySelector(".card-chat .try-reply")?.textContent.length > 0);
  const partial = (await reply.textContent()).length;
  await page.waitForSelector(".card-chat .try-output .numeric");
  assert.ok((await reply.textContent()).length > partial, "the reply is not streamed");
  assert.match(await page.locator(".card-chat .try-output .numeric").textContent(), /^\d+ \+ \d+ tokens$/);

  await send(page, watched, "image", "A red lighthouse");
  const image = page.locator(".card-image img");
  await image.waitFor();
  assert.ok(await image.evaluate((image) => image.naturalWidth > 0));
  assert.equal(await image.getAttribute("alt"), "Generated image: A red lighthouse");

  await send(page, watched, "video", "Pan over hills");
  await page.locator(".card-video progress").waitFor();
  const video = page.locator(".card-video video");
  await video.waitFor({ timeout: 120_000 });
  await video.evaluate((video) => video.play());
  await page.waitForFunction(() => document.querySelector(".card-video video").currentTime > 0.2);
  assert.deepEqual(await video.evaluate((video) => [video.videoWidth, video.videoHeight]), [640, 360]);
  await checkWidths("overview-results");

  // Code: arrow keys select tabs.
  await watched.tabTo("#snippets .section-head [role=tab][aria-selected=true]");
  await page.keyboard.press("ArrowRight");
  await watched.tabTo("#snippets .snippets [role=tab][aria-selected=true]");
  await page.keyboard.press("ArrowRight");
  assert.match(await page.locator("#snippets pre").textContent(), /client\.images\.generate\(model="offline-image"/);
  await watched.tabTo("#snippets .code-copy");
  await page.keyboard.press("Enter");
  await page.getByText("Copied").waitFor();
  assert.match(await page.evaluate(() => navigator.clipboard.readText()), /^from openai import OpenAI/);
}

async function switches({ page, url, watched, checkWidths }) {
  await page.goto(url);
  await page.waitForSelector(".card-video .try");
  await watched.tabTo("#language-button");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "对话、图像与视频，同一个网关" }).waitFor();
  assert.equal(await page.getAttribute("html", "lang"), "zh");
  assert.match(await page.inputValue(".card-chat textarea"), /网关/);
  await checkWidths("overview-zh");
  await watched.tabTo("#theme-button");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Enter");
  assert.equal(await page.getAttribute("html", "data-theme"), "dark");
  await page.reload();
  await page.getByRole("heading", { name: "对话、图像与视频，同一个网关" }).waitFor();
  assert.equal(await page.getAttribute("html", "data-theme"), "dark");
}

async function chatCanBeStopped({ page, url, watched }) {
  watched.allow(/request failed: POST .*ERR_ABORTED/);
  await page.goto(url);
  await page.fill(".card-chat textarea", "A long story");
  await page.click(".card-chat .try button");
  await page.waitForFunction(() => document.querySelector(".card-chat .try-reply")?.textContent.length > 0);
  await page.click(".card-chat .try button");
  await page.locator(".card-chat").getByText("Stopped").waitFor();
}

async function keyDialog({ page, url, watched, checkWidths }) {
  watched.allow(/HTTP 401: GET .*v1\/models/, /status of 401/);
  await page.goto(url);
  await page.getByText("This gateway requires an API key").waitFor();
  assert.match(await page.locator("#snippets pre").textContent(), /Authorization: Bearer \$KEY/);
  await checkWidths("overview-key");
  await watched.tabTo("#status button");
  await page.keyboard.press("Enter");
  const input = page.locator("#key-input");
  assert.ok(await input.evaluate((input) => input === document.activeElement));
  await page.keyboard.type("a wrong key of no one");
  await page.keyboard.press("Enter");
  await page.getByText("The gateway does not accept this key.").waitFor();
  await checkWidths("key-dialog");
  await page.keyboard.press("Control+A");
  await page.keyboard.type(KEY);
  await page.keyboard.press("Enter");
  await page.waitForSelector(".card-video .try");
  assert.match(await page.locator("#snippets pre").textContent(), /Authorization: Bearer \$KEY/);
  assert.ok(!(await page.content()).includes(KEY), "the key is in the page");
  assert.deepEqual(await page.evaluate(() => [Object.keys(sessionStorage), Object.keys(localStorage)]), [
    ["triptych.key"],
    [],
  ]);

  await page.click(".card-image .try button");
  await page.locator(".card-image img").waitFor();

  // Once the key is forgotten, the page asks for one again.
  await page.click("#key-button");
  await page.getByRole("button", { name: "Forget the key" }).click();
  await page.getByText("This gateway requires an API key").waitFor();
}

async function navigation({ page, url }) {
  for (const [path, heading] of [
    ["playground", "Playground"],
    ["jobs", "Videos"],
    ["usage", "Usage"],
    ["docs", "Documentation"],
  ]) {
    await page.goto(url);
    await page.waitForSelector(".card-video .try");
    await page
      .locator(".site-nav")
      .getByRole("link", { name: { docs: "Docs" }[path] ?? heading })
      .click();
    await page.getByRole("heading", { name: heading, level: 1 }).waitFor();
    assert.equal(page.url().split("#")[0], url + path);
    await page.waitForSelector(`.site-nav [aria-current=page][href$="${path}"]`);
  }
}

export default [
  { title: "every control by keyboard", test: everyControlByKeyboard },
  { title: "language and theme", test: switches },
  { title: "a chat is stopped", environment: { TRIPTYCH_OFFLINE_CHAT_TOKENS_PER_SECOND: "8" }, test: chatCanBeStopped },
  { title: "key dialog", keys: `tester:${KEY}`, test: keyDialog },
  { title: "navigation", test: navigation },
  {
    title: "Chinese by the browser's setting",
    locale: "zh-CN",
    test: async ({ page, url }) => {
      await page.goto(url);
      await page.getByRole("button", { name: "生成视频" }).waitFor();
    },
  },
];
