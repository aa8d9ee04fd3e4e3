// The documentation: every operation of the OpenAPI document and every method of the proto files is there, and the examples work.
import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

/// Operations whose examples are sent. The others need the id of something that exists.
const SENT = [
  "createChatCompletion",
  "createImage",
  "createVideo",
  "createOpenRouterVideo",
  "estimateVideo",
  "estimateImages",
];

const title = (page) => page.locator("#docs-title");

async function operations(url) {
  const document = await (await fetch(`${url}openapi.json`)).json();
  return Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({
      ...operation,
      path,
      method: method.toUpperCase(),
      examples: examplesOf(document, operation),
    })),
  );
}

/// Returns the examples of the first media type of each body, which is shown at once, as they are shown.
function examplesOf(document, { requestBody, responses }) {
  const resolve = (value) => {
    const part = (node, name) => node[name.replaceAll("~1", "/")];
    return value?.$ref ? resolve(value.$ref.split("/").slice(1).reduce(part, document)) : value;
  };
  return [requestBody, ...Object.values(responses)]
    .map((body) => Object.values(resolve(body)?.content ?? {})[0] ?? {})
    .flatMap(({ example, examples = {} }) => [example, ...Object.values(examples).map(({ value }) => value)])
    .filter((value) => value !== undefined)
    .map((value) => (typeof value === "string" ? value : JSON.stringify(value, null, 2)));
}

async function everyOperation({ page, url, checkWidths }) {
  const all = await operations(url);
  await page.goto(`${url}docs`);
  await page.locator(".nav-link").first().waitFor();
  const links = await page.locator(".nav-link").evaluateAll((links) => links.map((link) => link.hash.slice(1)));
  assert.deepEqual(
    all.map(({ operationId }) => operationId).filter((id) => !links.includes(id)),
    [],
  );
  await checkWidths("docs");
  for (const { operationId, summary, path, method, responses, examples } of all) {
    await page.goto(`${url}docs#${operationId}`);
    await page.waitForFunction((summary) => document.getElementById("docs-title").textContent === summary, summary);
    assert.equal(await page.locator(".endpoint-path").textContent(), path);
    assert.equal(await page.locator(".endpoint .method").textContent(), method);
    assert.deepEqual(await page.locator(".response > summary .status").allTextContents(), Object.keys(responses));
    assert.equal(await page.locator(`.nav-link[aria-current]`).getAttribute("href"), `#${operationId}`);
    // Everything below, as deep as it goes: nothing is without a type, and nothing repeats for ever.
    const text = await page.evaluate(async () => {
      for (let depth = 0; depth < 8; depth += 1) {
        const closed = document.querySelectorAll(".docs-article details:not([open])");
        for (const details of closed) details.open = true;
        await new Promise((resolve) => setTimeout(resolve));
        if (closed.length === 0) return document.querySelector(".docs-article").textContent;
      }
      return "too deep";
    });
    assert.doesNotMatch(text, /undefined|\[object|too deep/, operationId);
    for (const example of examples) assert.ok(text.includes(example), `${operationId}: ${example}`);
  }
}

async function byKeyboard({ page, url, watched, checkWidths }) {
  await page.goto(`${url}docs`);
  await watched.tabTo(".docs-nav input");
  await page.keyboard.type("negative_prompt createVideo");
  await page.getByText("1 entry").waitFor();
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "POSTCreate a video");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.activeElement.id === "docs-title");
  assert.equal(await title(page).textContent(), "Create a video");
  assert.equal(new URL(page.url()).hash, "#createVideo");
  await watched.tabTo(".code-copy");
  await page.keyboard.press("Enter");
  await page.getByText("Copied").waitFor();
  assert.match(await page.evaluate(() => navigator.clipboard.readText()), /^curl http:.*\/v1\/videos \\\n/);
  await watched.tabTo(".expander > summary");
  const count = await page.locator(".member").count();
  await page.keyboard.press("Enter");
  await page.waitForFunction((count) => document.querySelectorAll(".member").length > count, count);
  await checkWidths("docs-operation");

  await page.goBack();
  await page.waitForFunction(() => document.getElementById("docs-title").textContent === "Calls of the REST API");
  await page.goto(`${url}docs#createVideo`);
  await page.locator(".endpoint-try").click();
  await page.getByRole("heading", { name: "Playground" }).waitFor();
  assert.equal(page.url(), `${url}playground#videos`);
}

async function examples({ page, url }) {
  for (const id of SENT) {
    await page.goto(`${url}docs#${id}`);
    await page.waitForFunction((id) => document.querySelector(".nav-link[aria-current]")?.hash === `#${id}`, id);
    const code = await page.locator(".code pre").first().textContent();
    const [, target] = code.match(/^curl (?:-\S+ )*(http\S+)/);
    const [, body] = code.match(/-d '([^']+)'/);
    const response = await fetch(target, { method: "POST", headers: { "content-type": "application/json" }, body });
    assert.ok(response.ok, `${id}: ${await response.text()}`);
  }
}

async function grpc({ page, url, root, checkWidths }) {
  const directory = join(root, "proto/triptych/v1");
  const files = await Promise.all((await readdir(directory)).map((file) => readFile(join(directory, file), "utf8")));
  const methods = files.flatMap((text) => [...text.matchAll(/^ {2}rpc (\w+)\(/gm)].map(([, method]) => method));
  await page.goto(`${url}docs#grpc`);
  await page.waitForFunction(() => document.getElementById("docs-title")?.textContent === "gRPC");
  const shown = await page.locator("section:has(#section-grpc) dt code").allTextContents();
  assert.deepEqual(shown.sort(), methods.sort());
  await checkWidths("docs-grpc");
  await page.click('.nav-link[href="#grpc-errors"]');
  await page.waitForFunction(() => document.activeElement.id === "section-grpc-errors");
  await page.click("#language-button");
  await page.getByRole("heading", { name: "错误详情" }).waitFor();
}

async function onAPhone({ page, url }) {
  await page.setViewportSize({ width: 390, height: 800 });
  await page.goto(`${url}docs`);
  await page.locator(".docs-menu > summary").click();
  await page.getByRole("link", { name: "List usage and cost" }).click();
  await page.waitForFunction(() => document.getElementById("docs-title").textContent === "List usage and cost");
  assert.equal(await page.locator(".docs-menu").getAttribute("open"), null);
}

export default [
  { title: "every operation", test: everyOperation },
  { title: "by keyboard", test: byKeyboard },
  { title: "the examples work", test: examples },
  { title: "every gRPC method", test: grpc },
  { title: "on a phone", test: onAPhone },
];
