// Lighthouse: accessibility and best practices of every view with content, in a browser of its own.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { launch } from "chrome-launcher";
import lighthouse from "lighthouse";
import puppeteer from "puppeteer-core";

const CATEGORIES = ["accessibility", "best-practices"];
const MINIMUM = 0.95;
/// Times in milliseconds. Lighthouse waits until there is no request and no long task for the pause, but pages that follow events never end
/// their requests.
const PAUSE = 500;
const TIMING = {
  maxWaitForLoad: 3_000,
  pauseAfterFcpMs: PAUSE,
  pauseAfterLoadMs: PAUSE,
  networkQuietThresholdMs: PAUSE,
  cpuQuietThresholdMs: PAUSE,
  throttlingMethod: "provided",
};

const DARK_CHINESE = { "triptych.theme": "dark", "triptych.language": "zh" };

const ADMIN = "a-secret-of-the-tests-ops";
const BOB = "a-secret-of-the-tests-bob";
const CONFIGURATION = `
keys = [
  { name = "ops", secret = "${ADMIN}", admin = true },
  { name = "bob", secret = "${BOB}", limits = { budget_total = "50" } },
]
prices = [{ model = "*", per_million_input_tokens = "2.50", per_million_output_tokens = "10", per_second = "0.10" }]
`;
const directory = mkdtempSync(join(tmpdir(), "triptych-lighthouse-"));
writeFileSync(join(directory, "triptych.toml"), CONFIGURATION);
process.on("exit", () => rmSync(directory, { recursive: true, force: true }));

/// Calls the API, repeatedly until `isDone` holds of the response, and returns it.
async function call(url, path, { key, body, isDone = () => true } = {}) {
  const headers = { "content-type": "application/json", ...(key ? { authorization: `Bearer ${key}` } : {}) };
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const response = await fetch(url + path, {
      method: body ? "POST" : "GET",
      headers,
      body: body && JSON.stringify(body),
    });
    const json = await response.json();
    assert.equal(response.status, 200, JSON.stringify(json));
    if (isDone(json)) return json;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  return assert.fail(`${path} does not become what is expected`);
}

/// Checks views: `{ view, shows, local, session }`. `shows` is a selector of what must be there, and the last two are entries of the
/// storages of the tab.
async function check(url, views) {
  const chrome = await launch({
    chromePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    chromeFlags: ["--headless=new", "--no-sandbox", "--disable-gpu"],
    logLevel: "silent",
  });
  try {
    const browser = await puppeteer.connect({ browserURL: `http://127.0.0.1:${chrome.port}`, defaultViewport: null });
    for (const { view, shows, local = {}, session = {} } of views) {
      const page = await browser.newPage();
      // Lighthouse clears the storages before it loads the page.
      await page.evaluateOnNewDocument(
        (local, session) => {
          if (location.protocol !== "http:") return;
          for (const [name, value] of Object.entries(local)) localStorage.setItem(name, value);
          for (const [name, value] of Object.entries(session)) sessionStorage.setItem(name, value);
        },
        local,
        session,
      );
      const options = { logLevel: "silent", onlyCategories: CATEGORIES, disableFullPageScreenshot: true };
      const { lhr } = await lighthouse(`${url}${view}`, { ...options, ...TIMING }, undefined, page);
      assert.equal(lhr.runtimeError, undefined);
      for (const name of CATEGORIES) {
        const { score, auditRefs } = lhr.categories[name];
        const missed = auditRefs
          .filter(({ id, weight }) => weight > 0 && lhr.audits[id].score < 1)
          .map(({ id }) => [id, ...(lhr.audits[id].details?.items ?? []).map(({ node }) => node?.snippet)].join(" "));
        assert.ok(score >= MINIMUM, `/${view}: ${name} has the score ${score}; missed: ${missed.join(", ")}`);
      }
      assert.ok(await page.$(shows), `/${view} has no ${shows}: Lighthouse has not seen its content`);
      await page.close();
    }
    await browser.disconnect();
  } finally {
    await chrome.kill();
  }
}

async function everyViewIsAccessible({ url }) {
  const video = { model: "offline-video", prompt: "Waves", size: "128x96", seconds: 1 };
  const { id } = await call(url, "v1/videos", { body: video });
  await call(url, "v1/videos", { body: { ...video, model: "offline-video-fault-fails" } });
  await call(url, "v1/videos", { body: { ...video, model: "offline-video-fault-stuck" } });
  await call(url, `v1/videos/${id}`, { isDone: ({ status }) => status === "completed" });
  const stored = { "triptych.playground.videos": JSON.stringify([id]) };
  await check(url, [
    { view: "", shows: ".card-video .try" },
    { view: "playground", shows: ".composer" },
    { view: "playground#images", shows: ".images-prompt" },
    { view: "playground#videos", shows: ".video-card video", session: stored },
    { view: "jobs", shows: ".job img" },
    { view: `jobs#${id}`, shows: "[lang=zh][data-theme=dark] .details video", local: DARK_CHINESE },
    { view: "usage", shows: ".anonymous" },
    { view: "docs", shows: ".nav-link" },
    { view: "docs#createVideo", shows: ".endpoint-path" },
    { view: "docs#grpc", shows: "#section-grpc" },
  ]);
}

async function usageOfAnAdministrator({ url }) {
  const chat = { model: "offline-chat", max_tokens: 20, messages: [{ role: "user", content: "Hello" }] };
  await call(url, "v1/chat/completions", { key: BOB, body: chat });
  const video = { prompt: "a boat", size: "64x64", seconds: 2, model: "offline-video-fault-outcome-unknown" };
  await call(url, "v1/videos", { key: BOB, body: video });
  const hold = { key: ADMIN, isDone: ({ data }) => data.length > 0 };
  await call(url, "admin/v1/ledger/holds?state=outcome_unknown", hold);
  await call(url, "v1/usage", { key: ADMIN, isDone: ({ data }) => data[0]?.calls > 0 });
  await check(url, [{ view: "usage", shows: ".hold", session: { "triptych.key": ADMIN } }]);
}

export default [
  { title: "accessibility and best practices of every view are at least 95 of 100", test: everyViewIsAccessible },
  {
    title: "so are those of the usage with keys and a ledger",
    environment: { TRIPTYCH_CONFIG: join(directory, "triptych.toml") },
    test: usageOfAnAdministrator,
  },
];
