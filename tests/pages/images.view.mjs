// The playground's panel "Images": previews, parameters, edits with a painted mask, errors, and earlier prompts.
import assert from "node:assert/strict";

/// Opens the panel, and returns its requests.
async function open(page, url) {
  const requests = [];
  page.on("request", (request) => {
    if (/\/v1\/images\/(generations|edits)$/.test(request.url())) requests.push(request);
  });
  await page.goto(`${url}playground#images`);
  await page.getByText("Built-in mock").waitFor();
  return requests;
}

/// Waits until the newest request has ended and its images are shown.
async function ended(page, images) {
  await page.waitForFunction(
    (images) => {
      const entry = document.querySelector(".entry");
      return entry?.ariaBusy === "false" && entry.querySelectorAll(".tile-open img").length === images;
    },
    images,
    { timeout: 120_000 },
  );
}

async function other(page, size) {
  await page.getByLabel("Size", { exact: true }).selectOption("Other…");
  await page.getByLabel("Width and height in pixels").fill(size);
}

async function previews({ page, url, watched, checkWidths }) {
  const requests = await open(page, url);
  await checkWidths("images-empty");
  await watched.tabTo(".images-prompt");
  await page.keyboard.type("A red lighthouse at night");
  await page.getByLabel("Size", { exact: true }).selectOption("512 × 512");
  await page.getByLabel("Number").fill("2");
  await page.getByLabel("Seed").fill("7");
  await page.locator(".images-prompt").focus();
  await watched.tabTo(".workbench-submit button");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".tile-badge", { timeout: 60_000 });
  await ended(page, 2);
  const { prompt, n, size, seed, stream, partial_images, response_format } = requests[0].postDataJSON();
  assert.deepEqual(
    { prompt, n, size, seed, stream, partial_images, response_format },
    {
      prompt: "A red lighthouse at night",
      n: 2,
      size: "512x512",
      seed: 7,
      stream: true,
      partial_images: 2,
      response_format: "b64_json",
    },
  );
  const sizes = await page.locator(".tile-open img").evaluateAll((all) => all.map((image) => image.naturalWidth));
  assert.deepEqual(sizes, [512, 512]);
  assert.match(await page.locator(".entry .meta").textContent(), /512 × 512.*in total.*\d+ tokens.*req_/);
  await page.getByText("2 images are complete").waitFor({ state: "attached" });
  await checkWidths("images");

  await watched.tabTo(".tile-open");
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").getByRole("img").waitFor();
  await page.keyboard.press("Escape");
  const [download] = await Promise.all([page.waitForEvent("download"), page.click("a[download]")]);
  assert.equal(download.suggestedFilename(), "image-1.png");
  await page.getByRole("button", { name: "Clear" }).click();
  await page.getByText("No images yet").waitFor();
}

async function parameters({ page, url }) {
  const requests = await open(page, url);
  await page.fill(".images-prompt", "A boat");
  await other(page, "256x128");
  await page.getByLabel("Quality").selectOption("High");
  await page.getByLabel("Format").selectOption("JPEG");
  await page.getByLabel("Previews").selectOption("None");
  await page.getByRole("button", { name: "Generate" }).click();
  await ended(page, 1);
  const body = requests[0].postDataJSON();
  assert.deepEqual([body.quality, body.output_format, body.stream, body.seed], ["high", "jpeg", undefined, undefined]);
  assert.match(await page.locator(".entry .meta").textContent(), /offline-image.*256 × 128.*cost \$0\.00/);
  const image = page.locator(".tile-open img");
  assert.deepEqual(await image.evaluate((image) => [image.naturalWidth, image.naturalHeight]), [256, 128]);
  assert.equal(await page.locator("a[download]").getAttribute("download"), "image-1.jpg");

  // Prompts and parameters survive a reload; the images do not.
  await page.fill(".images-prompt", "A second boat");
  await page.getByRole("button", { name: "Generate" }).click();
  await page.waitForSelector(".entry:nth-child(2)");
  await ended(page, 1);
  await page.reload();
  await page.getByText("No images yet").waitFor();
  assert.equal(await page.inputValue(".images-prompt"), "A second boat");
  assert.equal(await page.getByLabel("Width and height in pixels").inputValue(), "256x128");
  await page.getByText("Earlier prompts").click();
  assert.deepEqual(await page.locator(".prompts-entry").allTextContents(), ["A second boat", "A boat"]);
  await page.getByRole("button", { name: "A boat", exact: true }).click();
  assert.equal(await page.inputValue(".images-prompt"), "A boat");
}

/// Records the forms that the page sends: Chromium does not report request bodies that have files.
async function keepForms(page) {
  await page.addInitScript(() => {
    window.forms = [];
    const { fetch } = window;
    window.fetch = (target, options) => {
      if (options?.body instanceof FormData) window.forms.push(options.body);
      return fetch(target, options);
    };
  });
}

/// Returns the parts of the last form by name, files in base64.
function lastForm(page) {
  return page.evaluate(async () => {
    const parts = {};
    for (const [name, value] of window.forms.at(-1)) {
      if (typeof value === "string") parts[name] = value;
      else parts[name] = btoa(String.fromCharCode(...new Uint8Array(await value.arrayBuffer())));
    }
    return parts;
  });
}

/// Returns the size of a PNG in base64, and the opacity of its pixels.
function opacity(page, png, points) {
  return page.evaluate(
    async ([base64, points]) => {
      const content = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
      const picture = await createImageBitmap(new Blob([content], { type: "image/png" }));
      const context = new OffscreenCanvas(picture.width, picture.height).getContext("2d", { willReadFrequently: true });
      context.drawImage(picture, 0, 0);
      return [picture.width, picture.height, ...points.map(([x, y]) => context.getImageData(x, y, 1, 1).data[3])];
    },
    [png, points],
  );
}

async function edit({ page, url, watched, checkWidths }) {
  await keepForms(page);
  const requests = await open(page, url);
  await page.fill(".images-prompt", "A house on a hill");
  await other(page, "256x256");
  await page.getByRole("button", { name: "Generate" }).click();
  await ended(page, 1);
  await page.getByRole("button", { name: "Use as input" }).click();
  await page.getByRole("button", { name: "Paint a mask" }).click();

  // A stroke from the pointer, at the height of 3/4.
  const { x, y, width, height } = await page.locator(".mask-canvas").boundingBox();
  await page.mouse.move(x + width * 0.2, y + height * 0.75);
  await page.mouse.down();
  await page.mouse.move(x + width * 0.8, y + height * 0.75, { steps: 5 });
  await page.mouse.up();
  // By keyboard: a rectangle at the upper left, then a smaller one that is erased again, and one that is undone.
  await watched.tabTo(".mask-editor summary");
  await page.keyboard.press("Enter");
  const rectangle = async (...values) => {
    for (const [at, name] of ["Left", "Top", "Width", "Height"].entries())
      await page.getByLabel(name, { exact: true }).fill(values[at]);
    await page.getByRole("button", { name: "Apply" }).click();
  };
  await rectangle("0", "0", "100", "100");
  await page.getByLabel("Erase").check();
  await rectangle("40", "40", "20", "20");
  await page.getByLabel("Paint", { exact: true }).check();
  await rectangle("200", "0", "56", "56");
  await page.getByRole("button", { name: "Undo" }).click();
  await checkWidths("images-mask");
  await page.getByRole("button", { name: "Use the mask" }).click();
  await page.getByRole("button", { name: "Change the mask" }).waitFor();

  await page.fill(".images-prompt", "A castle");
  await page.getByRole("button", { name: "Edit the pictures" }).click();
  await page.waitForSelector(".entry:nth-child(2)");
  await ended(page, 1);
  await page.getByText("Edit of 1 picture").waitFor();
  assert.match(requests[1].url(), /\/v1\/images\/edits$/);
  const form = await lastForm(page);
  assert.deepEqual([form.prompt, form.stream, form.n], ["A castle", "true", "1"]);
  assert.match(form.image, /^iVBORw0KGgo/);
  const points = [
    [10, 10], // painted
    [50, 50], // erased
    [128, 192], // the stroke
    [128, 128], // nothing
    [230, 20], // undone
  ];
  assert.deepEqual(await opacity(page, form.mask, points), [256, 256, 0, 255, 0, 255, 255]);
  await checkWidths("images-edit");

  // Without its picture, the mask is gone as well.
  await page.getByRole("button", { name: "Remove picture 1" }).click();
  await page.getByRole("button", { name: "Generate" }).click();
  await page.waitForSelector(".entry:nth-child(3)");
  await ended(page, 1);
  assert.match(requests[2].url(), /\/v1\/images\/generations$/);
}

async function failures({ page, url, watched, checkWidths }) {
  watched.allow(/HTTP 400: POST/, /status of 400/, /request failed: POST .*ERR_ABORTED/);
  await open(page, url);
  await page.getByLabel("Model", { exact: true }).selectOption("Other…");
  await page.getByLabel("Name of the model").fill("offline-image-fault-refused");
  await page.fill(".images-prompt", "A boat");
  await page.keyboard.press("Control+Enter");
  await page.getByText("content_policy_violation").waitFor();
  await page.getByText("The provider refuses this content.").waitFor();
  await checkWidths("images-error");

  await page.getByLabel("Name of the model").fill("offline-image-fault-slow");
  await page.getByRole("button", { name: "Generate" }).click();
  await page.getByRole("button", { name: "Stop" }).click();
  await page.getByText("Stopped", { exact: true }).waitFor();
  assert.equal(await page.locator(".tile").count(), 0);
}

export default [
  { title: "previews, then images", test: previews },
  { title: "parameters, and prompts after a reload", test: parameters },
  { title: "an edit with a mask", test: edit },
  { title: "errors and a stop", test: failures },
  {
    title: "in Chinese",
    locale: "zh-CN",
    test: async ({ page, url, checkWidths }) => {
      await page.goto(`${url}playground#images`);
      await page.getByText("内置模拟").waitFor();
      await checkWidths("images-zh");
    },
  },
];
