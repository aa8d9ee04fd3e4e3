// Runs the views: main.mjs --root DIRECTORY [--pictures DIRECTORY] [--sources] TRIPTYCH_BIN [VIEW]...
import assert from "node:assert/strict";
import { readdir, mkdir } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { launch, WatchedPage } from "./browser.mjs";
import { startGateway } from "./gateway.mjs";
import { checkTexts } from "./texts.mjs";

/// A phone, a tablet, a desktop.
const WIDTHS = [390, 820, 1280];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { root: { type: "string" }, pictures: { type: "string" }, sources: { type: "boolean", default: false } },
});
const [program, ...names] = positionals;
assert.ok(program, "usage: tests/pages/run [OPTION]... TRIPTYCH_BIN [VIEW]...");
const here = dirname(fileURLToPath(import.meta.url));
const all = (await readdir(here))
  .filter((file) => file.endsWith(".view.mjs"))
  .map((file) => file.replace(".view.mjs", ""))
  .sort();
for (const name of names) assert.ok(all.includes(name), `unknown view ${name}; views: ${all.join(", ")}`);

/// Fails if a page is wider than the window at one of the three widths. With `--pictures`, also saves pictures of it, in light and dark:
/// `NAME-WIDTH-THEME.png`.
async function checkWidths(page, name) {
  const size = page.viewportSize();
  for (const width of WIDTHS) {
    await page.setViewportSize({ width, height: 900 });
    for (const theme of values.pictures ? ["light", "dark"] : []) {
      await page.emulateMedia({ colorScheme: theme });
      await settled(page);
      await page.screenshot({ path: join(values.pictures, `${name}-${width}-${theme}.png`), fullPage: true });
    }
    await settled(page);
    const overflow = await page.evaluate(
      () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
    );
    assert.ok(overflow <= 0, `${name} is ${overflow} px too wide at ${width} px`);
  }
  await page.emulateMedia({ colorScheme: null });
  await page.setViewportSize(size);
}

/// Waits until the page is drawn, at its top.
function settled(page) {
  return page.evaluate(() => {
    scrollTo(0, 0);
    return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  });
}

if (values.pictures) await mkdir(values.pictures, { recursive: true });
await checkTexts(join(values.root, "rest-gateway/pages/js/i18n"));
const browser = await launch();
let failed = 0;
try {
  for (const name of names.length > 0 ? names : all) {
    const { default: tests } = await import(`./${name}.view.mjs`);
    for (const { title, environment = {}, keys, locale = "en-US", test } of tests) {
      const start = performance.now();
      const sources = values.sources ? join(values.root, "rest-gateway/pages") : null;
      const gateway = await startGateway(resolve(program), { environment, keys, sources, root: values.root });
      const context = await browser.newContext({
        locale,
        viewport: { width: 1280, height: 900 },
        permissions: ["clipboard-read", "clipboard-write"],
      });
      const watched = new WatchedPage(await context.newPage());
      let verdict = "ok  ";
      try {
        await test({
          page: watched.page,
          url: gateway.url,
          gateway,
          root: values.root,
          watched,
          checkWidths: (name) => checkWidths(watched.page, name),
        });
        await watched.assertClean();
        gateway.assertClean();
      } catch (error) {
        failed += 1;
        verdict = "FAIL";
        console.error(error, watched.problems);
        if (values.pictures)
          await watched.page.screenshot({ path: join(values.pictures, `FAILED-${name}.png`) }).catch(() => {});
      }
      await context.close();
      await gateway.stop();
      console.log(`  ${verdict} ${name}: ${title} (${((performance.now() - start) / 1000).toFixed(1)} s)`);
    }
  }
} finally {
  await browser.close();
}
if (failed > 0) {
  console.error(`${failed} failed`);
  process.exit(1);
}
