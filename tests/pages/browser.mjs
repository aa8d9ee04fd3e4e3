// Starts the browser. Its pages record console errors, exceptions and failed requests.
import assert from "node:assert/strict";
import { chromium } from "playwright-core";

export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--autoplay-policy=no-user-gesture-required",
    ],
  });
}

/// A page whose console errors, uncaught exceptions, policy violations and failed requests are recorded.
export class WatchedPage {
  problems = [];
  #allowed = [];

  constructor(page) {
    this.page = page;
    page.setDefaultTimeout(60_000);
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type()))
        this.#record(`console: ${message.text()} (${message.location().url})`);
    });
    page.on("pageerror", (error) => this.#record(`exception: ${error.stack}`));
    page.on("requestfailed", (request) => {
      // Players end requests when they have enough of a file.
      if (request.resourceType() === "media" && request.failure()?.errorText === "net::ERR_ABORTED") return;
      // The page leaves the events of a video that it no longer shows.
      if (/\/v1\/videos\/[^/]+\/events$/.test(request.url()) && request.failure()?.errorText === "net::ERR_ABORTED")
        return;
      this.#record(`request failed: ${request.method()} ${request.url()} ${request.failure()?.errorText}`);
    });
    page.on("response", (response) => {
      if (response.status() >= 400)
        this.#record(`HTTP ${response.status()}: ${response.request().method()} ${response.url()}`);
    });
  }

  /// Permits problems that a test provokes, such as `/HTTP 401/`. Each pattern must match one.
  allow(...patterns) {
    this.#allowed.push(...patterns.map((pattern) => ({ pattern, isSeen: false })));
  }

  #record(problem) {
    const allowed = this.#allowed.find(({ pattern }) => pattern.test(problem));
    if (allowed) allowed.isSeen = true;
    else this.problems.push(problem);
  }

  assertClean() {
    assert.deepEqual(this.problems, []);
    for (const { pattern, isSeen } of this.#allowed) assert.ok(isSeen, `expected, but did not happen: ${pattern}`);
  }

  /// Moves the focus with the tab key until it is on an element that matches the selector. Fails after 100 stops.
  async tabTo(selector) {
    for (let stops = 0; stops < 100; stops += 1) {
      await this.page.keyboard.press("Tab");
      if (await this.page.evaluate((selector) => document.activeElement.matches(selector), selector)) return;
    }
    assert.fail(`the tab key does not reach ${selector}`);
  }
}
