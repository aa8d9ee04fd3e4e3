// The usage: charts, tables, budgets and the CSV file against the numbers of the API, for administrators, other keys and without keys.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const KEYS = {
  ops: "a-secret-of-the-tests-ops",
  alice: "a-secret-of-the-tests-alice",
  bob: "a-secret-of-the-tests-bob",
};

const CONFIGURATION = `
teams = [{ name = "research", limits = { budget_per_month = "100" } }]
keys = [
  { name = "ops", secret = "${KEYS.ops}", admin = true },
  { name = "alice", secret = "${KEYS.alice}", team = "research", limits = { budget_per_day = "0.10" } },
  { name = "bob", secret = "${KEYS.bob}", limits = { models = ["offline-chat"] } },
]
prices = [
  { model = "offline-image", per_image = "0.0450" },
  { model = "*", per_million_input_tokens = "2.50", per_million_output_tokens = "10", max_output_tokens = 64 },
]
`;

const directory = mkdtempSync(join(tmpdir(), "triptych-usage-"));
writeFileSync(join(directory, "triptych.toml"), CONFIGURATION);
process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
const environment = { TRIPTYCH_CONFIG: join(directory, "triptych.toml") };

async function call(url, path, { key, body } = {}) {
  const headers = { "content-type": "application/json", ...(key ? { authorization: `Bearer ${KEYS[key]}` } : {}) };
  return fetch(url + path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body) });
}

const chat = { model: "offline-chat", max_tokens: 20, messages: [{ role: "user", content: "Hello" }] };

/// Makes three chat calls, one of which fails, and one for images, and waits until they are in the usage.
async function makeCalls(url) {
  const statuses = [];
  for (const [key, path, body] of [
    ["alice", "v1/chat/completions", chat],
    ["bob", "v1/chat/completions", chat],
    ["alice", "v1/chat/completions", { ...chat, model: "offline-chat-fault-500" }],
    ["alice", "v1/images/generations", { model: "offline-image", prompt: "A lighthouse", size: "256x256", n: 2 }],
  ]) {
    const response = await call(url, path, { key, body });
    await response.arrayBuffer();
    statuses.push(response.status);
  }
  assert.deepEqual(statuses.slice(0, 2).concat(statuses[3]), [200, 200, 200]);
  await usageOf(url, 4, "ops");
}

/// Returns the sums of the API as soon as they contain these calls.
async function usageOf(url, calls, key) {
  for (let attempt = 0; attempt < 60; attempt += 1) {
    const { data } = await (await call(url, "v1/usage", { key })).json();
    if (data[0]?.calls === calls) return data[0];
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  return assert.fail(`the usage does not contain ${calls} calls`);
}

const useKey = (page, key) => page.addInitScript((key) => sessionStorage.setItem("triptych.key", key), KEYS[key]);

/// The request for the list of keys is refused unless the page has the key of an administrator; the page then hides the section.
const NO_ADMINISTRATOR = /admin\/v1\/keys/;

const section = (page, title) =>
  page.locator(".chart", { has: page.getByRole("heading", { name: title, exact: true }) });
const total = (page, title) =>
  page.locator(".total", { has: page.getByText(title, { exact: true }) }).locator(".total-value");

async function administrator({ page, url, watched, checkWidths }) {
  await makeCalls(url);
  await useKey(page, "ops");
  await page.goto(`${url}usage`);
  await page.locator(".day-plot").waitFor();
  const sums = await usageOf(url, 4, "ops");
  assert.equal(await total(page, "Calls").textContent(), "4");
  assert.equal(await total(page, "Errors").textContent(), "1");
  assert.equal(await total(page, "Images").textContent(), "2");
  assert.equal(await total(page, "Output tokens").textContent(), sums.output_tokens.toLocaleString("en"));
  assert.equal(Number((await total(page, "Cost").textContent()).slice(1)), Number(sums.cost));
  assert.deepEqual(await section(page, "By key").locator(".bar-name").allTextContents(), ["alice", "bob"]);
  assert.deepEqual(await section(page, "By team").locator(".bar-name").allTextContents(), ["research", "(no team)"]);
  assert.match(await page.locator(".day-chart").getAttribute("aria-label"), /The highest day is .+ with \$0\.09/);
  assert.equal(await page.locator(".anonymous").count(), 0);
  await checkWidths("usage");

  // Another measure, by keyboard.
  await watched.tabTo("[role=tablist] [aria-selected=true]");
  await page.keyboard.press("ArrowRight");
  assert.deepEqual(await section(page, "By key").locator(".bar-value").allTextContents(), ["3", "1"]);

  // The table has the numbers of the chart.
  await section(page, "By model").locator("summary").click();
  const row = section(page, "By model").getByRole("row", { name: /^offline-image/ });
  await row.waitFor();
  assert.deepEqual((await row.getByRole("cell").allTextContents()).slice(0, 3), ["$0.09", "1", "0"]);

  // One model only.
  await page.getByLabel("Model", { exact: true }).selectOption("offline-image");
  await page.waitForFunction(() => document.querySelectorAll(".bar-name").length === 3);
  assert.equal(await total(page, "Calls").textContent(), "1");
  await page.getByLabel("Model", { exact: true }).selectOption("All");
  await page.waitForFunction(() => document.querySelectorAll(".bar-name").length > 3);

  // Budgets: alice has spent $0.09 and more of $0.10.
  const budget = page.locator(".budget", { hasText: "alice" });
  assert.ok(await budget.evaluate((element) => /budget-(warn|bad)/.test(element.className)));
  assert.ok(Number(await budget.getByRole("meter").getAttribute("aria-valuenow")) >= 90);
  assert.match(await budget.getByRole("meter").getAttribute("aria-valuetext"), /spent, .* remaining of \$0\.10/);
  assert.ok(
    await page.locator(".budget", { hasText: "research" }).evaluate((b) => b.className.includes("budget-good")),
  );

  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.click(".toolbar-actions .button >> nth=1"),
  ]);
  assert.match(download.suggestedFilename(), /^usage-\d{4}-\d\d-01-\d{4}-\d\d-\d\d\.csv$/);
  const lines = (await readFile(await download.path(), "utf8")).trim().split(/\r?\n/);
  assert.match(lines[0], /^day,key,team,modality,model,calls,/);
  assert.equal(lines.length, 5);
}

async function periods({ page, url, watched, checkWidths }) {
  watched.allow(NO_ADMINISTRATOR);
  await useKey(page, "alice");
  await page.goto(`${url}usage#2025-01-01..2025-12-31`);
  await page.getByText("No calls in this period").waitFor();
  assert.equal(await page.getByLabel("From").inputValue(), "2025-01-01");
  await checkWidths("usage-empty");
  await page.getByLabel("Period").selectOption("7d");
  await page.waitForFunction(() => location.hash === "#7d");
  assert.ok(await page.getByLabel("From").isHidden());

  // A range that is not one is refused, and the page does not change.
  await page.getByLabel("Period").selectOption("range");
  const hash = await page.evaluate(() => location.hash);
  await page.getByLabel("From").fill("2030-01-01");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => location.hash), hash);

  // The skip link keeps the period.
  await page.reload();
  await page.getByText("No calls in this period").waitFor();
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  assert.deepEqual(await page.evaluate(() => [location.hash, document.activeElement.id]), [hash, "main"]);
}

async function ownUsage({ page, url, watched }) {
  watched.allow(NO_ADMINISTRATOR);
  const refused = page.waitForResponse(/admin\/v1\/keys/);
  await makeCalls(url);
  await useKey(page, "bob");
  await page.goto(`${url}usage`);
  await page.locator(".day-plot").waitFor();
  assert.deepEqual(await section(page, "By key").locator(".bar-name").allTextContents(), ["bob"]);
  assert.equal(await section(page, "By team").count(), 0);
  await page.getByText("There are no budgets.").waitFor();
  assert.deepEqual(await page.locator(".model-list code").allTextContents(), ["offline-chat"]);
  await refused;
}

async function keyNeeded({ page, url, watched }) {
  watched.allow(/HTTP 401: GET .*v1\//, /status of 401/);
  await page.goto(`${url}usage`);
  await page.getByText("This gateway requires an API key").waitFor();
  await page.locator("#usage button").click();
  await page.fill("#key-input", KEYS.ops);
  await page.keyboard.press("Enter");
  await page.getByText("No calls in this period").waitFor();
}

async function withoutKeys({ page, url, checkWidths }) {
  await page.goto(`${url}usage`);
  await page.getByText("This gateway has no API keys").waitFor();
  await page.getByText("No calls in this period").waitFor();
  assert.equal((await call(url, "v1/chat/completions", { body: chat })).status, 200);
  await usageOf(url, 1);
  await page.getByRole("button", { name: "Load again" }).click();
  await page.locator(".day-plot").waitFor();
  assert.deepEqual(await section(page, "By key").locator(".bar-name").allTextContents(), ["(no key)"]);
  await page.getByText("How to configure keys").click();
  assert.match(await page.locator(".anonymous pre").textContent(), /\[\[keys\]\]/);
  await page.click("#language-button");
  await page.getByText("此网关未配置 API 密钥").waitFor();
  assert.deepEqual(await section(page, "按密钥").locator(".bar-name").allTextContents(), ["（无密钥）"]);
  await checkWidths("usage-zh");
}

async function manyKeys({ page, url }) {
  await makeCalls(url);
  await useKey(page, "ops");
  await page.route(/group_by=key/, async (route) => {
    const response = await (await route.fetch()).json();
    const [row] = response.data;
    const data = Array.from({ length: 1000 }, (_, index) => ({ ...row, key: `key-${index}` }));
    await route.fulfill({ json: { ...response, data, has_more: true } });
  });
  await page.goto(`${url}usage`);
  await page.getByText("There are more rows than one response contains").waitFor();
  assert.equal(await section(page, "By key").locator(".bar-row").count(), 10);
  await section(page, "By key").getByText("and 990 more:").waitFor();
  await section(page, "By key").locator("summary").click();
  const rows = section(page, "By key").locator("tbody tr");
  await rows.first().waitFor();
  assert.equal(await rows.count(), 200);
  await page.getByRole("button", { name: "Show 200 of 800 more" }).click();
  assert.equal(await rows.count(), 400);
}

export default [
  { title: "an administrator sees all keys", environment, test: administrator },
  { title: "periods are in the URL", environment, test: periods },
  { title: "a key sees its own usage and limits", environment, test: ownUsage },
  { title: "a thousand keys", environment, test: manyKeys },
  { title: "a key is asked for", environment, test: keyNeeded },
  { title: "without keys", test: withoutKeys },
];
