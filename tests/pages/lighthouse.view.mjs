// Lighthouse: accessibility and best practices of every view, in a browser of its own.
import assert from "node:assert/strict";
import { launch } from "chrome-launcher";
import lighthouse from "lighthouse";

const VIEWS = ["", "playground", "playground#images", "playground#videos", "jobs", "usage", "docs"];
const CATEGORIES = ["accessibility", "best-practices"];
const MINIMUM = 0.95;
/// How long Lighthouse waits for the end of all requests, in milliseconds. Pages that follow events never end them.
const MAX_WAIT = 3_000;

async function everyViewIsAccessible({ url }) {
  const chrome = await launch({
    chromePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    chromeFlags: ["--headless=new", "--no-sandbox", "--disable-gpu"],
    logLevel: "silent",
  });
  try {
    for (const view of VIEWS) {
      const options = { port: chrome.port, logLevel: "silent", onlyCategories: CATEGORIES };
      const timing = { maxWaitForLoad: MAX_WAIT, throttlingMethod: "provided" };
      const { lhr } = await lighthouse(`${url}${view}`, { ...options, ...timing });
      assert.equal(lhr.runtimeError, undefined);
      for (const name of CATEGORIES) {
        const { score, auditRefs } = lhr.categories[name];
        const missed = auditRefs.filter(({ id, weight }) => weight > 0 && lhr.audits[id].score < 1).map(({ id }) => id);
        assert.ok(score >= MINIMUM, `/${view}: ${name} has the score ${score}; missed: ${missed.join(", ")}`);
      }
    }
  } finally {
    await chrome.kill();
  }
}

export default [
  { title: "accessibility and best practices of every view are at least 95 of 100", test: everyViewIsAccessible },
];
