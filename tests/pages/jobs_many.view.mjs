// The page of all videos with hundreds of them.
import assert from "node:assert/strict";

async function createVideo(url, members) {
  const json = { model: "offline-video", prompt: "Pan over hills", size: "128x96", seconds: 1, ...members };
  const headers = { "content-type": "application/json" };
  const response = await fetch(`${url}v1/videos`, { method: "POST", body: JSON.stringify(json), headers });
  assert.equal(response.status, 200, await response.clone().text());
  return response.json();
}

/// Creates more videos than one page of the list has, and more videos in progress than the page opens event streams for.
async function many({ page, url }) {
  const refused = { model: "offline-video-fault-refused", size: "64x64" };
  for (let round = 0; round < 39; round += 1)
    await Promise.all(
      Array.from({ length: 10 }, (_, n) => createVideo(url, { ...refused, prompt: `Clip ${round * 10 + n}` })),
    );
  const stuck = [];
  for (let n = 0; n < 10; n += 1)
    stuck.push(await createVideo(url, { model: "offline-video-fault-stuck", prompt: `Stuck ${n}` }));
  const open = new Set();
  let most = 0;
  page.on("request", (request) => {
    if (request.url().endsWith("/events")) open.add(request);
    most = Math.max(most, open.size);
  });
  for (const event of ["requestfinished", "requestfailed"]) page.on(event, (request) => open.delete(request));
  await page.goto(`${url}jobs`);
  await page.getByText("100 of 100 loaded videos; there are more").waitFor();
  // A video that is created meanwhile appears by itself.
  const late = await createVideo(url, { prompt: "Late" });
  await page.locator(`[data-job="${late.id}"] .badge-good`).waitFor();
  // The API applies the filters by status and model, so that pages are full.
  await page.getByLabel("Status").selectOption("in_progress");
  await page.getByText("10 of 10 videos").waitFor();
  await page.getByLabel("Status").selectOption("failed");
  await page.getByText("100 of 100 loaded videos; there are more").waitFor();
  await page.getByLabel("Model").selectOption("offline-video");
  await page.getByText("No video matches").waitFor();
  await page.getByRole("button", { name: "Clear the filters" }).click();
  await page.getByText("100 of 100 loaded videos; there are more").waitFor();
  // One page more; with a text, pages until there are enough matches.
  const more = page.getByRole("button", { name: "Load more" });
  await more.click();
  await page.getByText("200 of 200 loaded videos; there are more").waitFor();
  await page.getByLabel("Search").fill("Clip 3");
  await page.getByText("90 of 200 loaded videos; there are more").waitFor();
  await more.click();
  await page.getByText("101 of 401 videos").waitFor();
  assert.equal(await more.isVisible(), false);
  await page.getByLabel("Search").fill("");
  assert.equal(await page.locator(".job").count(), 401);
  assert.equal(most, 3);
  for (const { id } of stuck) await fetch(`${url}v1/videos/${id}/cancel`, { method: "POST" });
  await page.waitForFunction(() => document.querySelectorAll(".job progress").length === 0);
}

export default [{ title: "paging, filters and a bounded number of streams", test: many }];
