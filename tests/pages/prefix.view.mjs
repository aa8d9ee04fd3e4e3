// Every view behind a proxy that removes a prefix from the paths. A request outside of the prefix is a 404, for which a test fails.
import assert from "node:assert/strict";

import { startProxy } from "./prefix_proxy.mjs";

const PREFIX = "/ai";

/// Wraps a test, so that its `url` is that of a proxy.
function behindPrefix(test) {
  return async (context) => {
    const proxy = await startProxy(context.url, PREFIX);
    try {
      await test({ ...context, url: proxy.url });
      // What is still open would fail without the proxy.
      await context.page.goto("about:blank");
    } finally {
      proxy.stop();
    }
  };
}

/// Follows a link of the header, whose target is below the prefix.
async function follow(page, url, path) {
  await page.locator(`.site-nav a[href$="${path}"]`).click();
  await page.waitForURL(url + path);
}

async function overview({ page, url }) {
  await page.goto(url);
  await page.waitForSelector(".card-video .try");
  assert.equal(await page.locator(".connection-url").textContent(), `${url}v1`);
  await page.click(".card-image .try button");
  await page.waitForFunction(() => document.querySelector(".card-image img")?.naturalWidth > 0);
  await follow(page, url, "playground");
  await page.locator(".brand").click();
  await page.waitForURL(url);
}

async function chatAndImages({ page, url }) {
  await page.goto(`${url}playground#chat`);
  await page.getByText("Built-in mock").waitFor();
  await page.fill(".composer textarea", "Hello");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".turn-reply[aria-busy=false] .markdown > *");
  await page.goto(`${url}playground#images`);
  await page.fill(".images-prompt", "A boat");
  await page.getByLabel("Size", { exact: true }).selectOption("512 × 512");
  await page.getByRole("button", { name: "Generate" }).click();
  await page.waitForSelector(".entry[aria-busy=false] .tile-open img");
}

/// A video with its player, which the list then shows with its picture, and its page with the player again.
async function videos({ page, url }) {
  await page.goto(`${url}playground#videos`);
  await page.waitForSelector(".video-form");
  await page.selectOption("[data-field=size] select", "other");
  await page.fill("[data-field=size] .input", "128x96");
  await page.fill("[data-field=seconds] input", "1");
  await page.fill("[data-field=prompt] textarea", "Waves");
  await page.getByRole("button", { name: "Create the video" }).click();
  await page.locator(".video-card .badge-good").waitFor();
  await page.waitForFunction(() => document.querySelector(".video-card video").videoWidth === 128);
  await page.locator(".video-card .frame").first().waitFor();
  await follow(page, url, "jobs");
  const row = page.locator(".job");
  await page.waitForFunction(() => document.querySelector(".job img")?.naturalWidth > 0);
  await row.locator("a").click();
  await page.waitForFunction(() => document.querySelector(".details video")?.videoWidth === 128);
  const links = page.locator(".details a[download]");
  for (const link of await links.all()) assert.ok((await link.getAttribute("href")).startsWith(url));
  const [download] = await Promise.all([page.waitForEvent("download"), links.first().click()]);
  assert.equal(await download.failure(), null);
}

async function usageAndDocs({ page, url }) {
  await page.goto(`${url}usage#30d`);
  await page.getByText("No calls in this period").waitFor();
  await page.getByRole("button", { name: "Load again" }).click();
  await page.getByText("No calls in this period").waitFor();
  await follow(page, url, "docs");
  await page.getByRole("link", { name: "Create a video" }).first().click();
  await page.waitForFunction(() => document.getElementById("docs-title").textContent === "Create a video");
  assert.ok((await page.locator(".code pre").first().textContent()).includes(`${url}v1/videos`));
  await page.locator(".endpoint-try").click();
  await page.waitForURL(`${url}playground#videos`);

  // A slash at the end is redirected without leaving the prefix.
  await page.goto(`${url}jobs/`);
  await page.getByText("No videos yet").waitFor();
  assert.equal(page.url(), `${url}jobs`);
}

export default [
  { title: "overview", test: behindPrefix(overview) },
  { title: "chat and images", test: behindPrefix(chatAndImages) },
  { title: "videos with player, list and files", test: behindPrefix(videos) },
  { title: "usage and documentation", test: behindPrefix(usageAndDocs) },
];
