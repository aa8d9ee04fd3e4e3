// Starts the browser. Its pages record console errors, exceptions and failed requests.
import assert from "node:assert/strict";
import { setTimeout } from "node:timers/promises";
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
    for (const pattern of patterns) {
      const allowed = { pattern };
      allowed.seen = new Promise((resolve) => (allowed.onSeen = resolve));
      this.#allowed.push(allowed);
    }
  }

  #record(problem) {
    const allowed = this.#allowed.find(({ pattern }) => pattern.test(problem));
    if (allowed) allowed.onSeen();
    else this.problems.push(problem);
  }

  /// Waits up to 10 s for the permitted problems: the browser reports a failed request after the page has shown it.
  async assertClean() {
    const deadline = setTimeout(10_000, null, { ref: false });
    for (const { pattern, seen } of this.#allowed) {
      const isSeen = await Promise.race([seen.then(() => true), deadline]);
      assert.ok(isSeen, `expected, but did not happen: ${pattern}`);
    }
    assert.deepEqual(this.problems, []);
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
