// The keys and the ledger for administrators: create, edit, rotate, revoke, holds, and what other keys see.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const OPS = "a-secret-of-the-tests-ops";
const BOB = "a-secret-of-the-tests-bob";

const CONFIGURATION = `
teams = [{ name = "research", limits = { budget_per_month = "100" } }]
keys = [{ name = "ops", secret = "${OPS}", admin = true }, { name = "bob", secret = "${BOB}" }]
prices = [{ model = "*", per_million_input_tokens = "2.50", per_million_output_tokens = "10", per_second = "0.10" }]
`;

const directory = mkdtempSync(join(tmpdir(), "triptych-keys-"));
writeFileSync(join(directory, "triptych.toml"), CONFIGURATION);
process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
const environment = { TRIPTYCH_CONFIG: join(directory, "triptych.toml") };

async function call(url, path, { key = OPS, body } = {}) {
  const headers = { "content-type": "application/json", authorization: `Bearer ${key}` };
  return fetch(url + path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body) });
}

const json = async (url, path, options) => (await call(url, path, options)).json();

async function open(page, url, key = OPS) {
  await page.addInitScript((key) => {
    if (!sessionStorage.getItem("triptych.key")) sessionStorage.setItem("triptych.key", key);
  }, key);
  await page.goto(`${url}usage`);
}

const item = (page, name) => page.locator(`.key[data-key="${name}"]`);
const dialog = (page) => page.locator("dialog[open]");
const inDialog = (page, name) => dialog(page).getByRole("button", { name, exact: true });

/// Reads the secret that is shown once, checks what the button copies, and closes the dialog.
async function takeSecret(page) {
  await dialog(page).locator(".key-secret").waitFor();
  const secret = await dialog(page).locator("code").textContent();
  await inDialog(page, "Copy").click();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), secret);
  await inDialog(page, "Done").click();
  // A dialog is closed before its event removes it.
  await page.locator(".key-secret").waitFor({ state: "detached" });
  assert.ok(!(await page.content()).includes(secret));
  return secret;
}

async function lifeOfAKey({ page, url, watched, checkWidths }) {
  watched.allow(/400.*admin\/v1\/keys/);
  await open(page, url);
  await item(page, "ops").getByText("Administrator").waitFor();
  assert.equal(await item(page, "bob").getByRole("button").count(), 0);

  // By keyboard; an error is shown at its field, and what was entered stays.
  await page.getByRole("button", { name: "Create a key" }).focus();
  await page.keyboard.press("Enter");
  await dialog(page).waitFor();
  await page.keyboard.type("alice");
  await page.getByLabel("Team", { exact: true }).fill("nobody");
  await page.getByLabel("Expiry").fill("2099-01-02T03:04");
  await page.getByLabel("Priority").selectOption("High");
  await page.getByLabel("Models").fill("offline-*, gpt-4o");
  await page.getByLabel("$ a month").fill("12.50");
  await page.getByLabel("Requests a minute").fill("sixty");
  await checkWidths("key-create");
  await page.keyboard.press("Enter");
  await dialog(page).getByText("expected an integer").waitFor();
  assert.equal(await page.getByLabel("Requests a minute").getAttribute("aria-invalid"), "true");
  await page.getByLabel("Requests a minute").fill("60");
  await page.keyboard.press("Enter");
  await dialog(page).getByText("must be a team of the setting").waitFor();
  assert.ok(await page.getByLabel("Team", { exact: true }).evaluate((e) => e === document.activeElement));
  await page.keyboard.press("Control+A");
  await page.keyboard.type("research");
  await page.getByLabel("Models").fill(`offline-*, ${"m".repeat(1000)}`);
  await page.keyboard.press("Enter");
  await dialog(page).getByText("limits.models[1]: must have 1 to").waitFor();
  assert.equal(await page.getByLabel("Models").getAttribute("aria-invalid"), "true");
  await page.getByLabel("Models").fill("offline-*, gpt-4o");
  await page.keyboard.press("Enter");
  await dialog(page).locator(".key-secret").waitFor();
  await checkWidths("key-secret");
  const secret = await takeSecret(page);
  const created = await json(url, "admin/v1/keys/alice");
  assert.deepEqual(
    [created.team, created.admin, created.priority, created.limits.models, created.limits.budget_per_month],
    ["research", false, "high", ["offline-*", "gpt-4o"], "12.50"],
  );
  assert.equal(created.limits.requests_per_minute, 60);
  const expiry = await page.evaluate(() => new Date("2099-01-02T03:04").getTime() / 1000);
  assert.equal(created.expires_at, expiry);
  assert.equal((await call(url, "v1/models", { key: secret })).status, 200);
  await item(page, "alice").getByText("High priority").waitFor();
  await item(page, "alice").getByText("60 requests a minute").waitFor();
  await item(page, "alice").getByText("$12.50 a month").waitFor();
  await item(page, "alice").getByText(`…${created.secret_hint}`).waitFor();

  // An edit changes what was changed, and removes what is empty.
  await page.getByRole("button", { name: "Edit the key alice" }).click();
  await page.getByLabel("$ a month").fill("");
  await page.getByLabel("$ in all").fill("7");
  await page.getByLabel("Priority").selectOption("Low");
  const [request] = await Promise.all([
    page.waitForRequest((request) => request.method() === "POST"),
    inDialog(page, "Save").click(),
  ]);
  assert.deepEqual(request.postDataJSON(), {
    priority: "low",
    limits: { budget_per_month: null, budget_total: "7" },
  });
  await item(page, "alice").getByText("Low priority").waitFor();
  await item(page, "alice").getByText("$7.00 in all").waitFor();
  assert.equal(
    await page.evaluate(() => document.activeElement.getAttribute("aria-label")),
    "Edit the key alice",
    "the focus stays at the button",
  );
  assert.equal((await json(url, "admin/v1/keys/alice")).limits.budget_per_month, null);

  // After a rotation both secrets are valid.
  await page.getByRole("button", { name: "Rotate the secret of the key alice" }).click();
  await page.getByLabel("The present secret stays valid").selectOption("1 hour");
  await inDialog(page, "Rotate the secret").click();
  const rotated = await takeSecret(page);
  assert.notEqual(rotated, secret);
  for (const key of [secret, rotated]) assert.equal((await call(url, "v1/models", { key })).status, 200);
  await item(page, "alice").getByText("previous secret valid until").waitFor();
  await checkWidths("keys");

  // A revocation asks first, and hides the key unless revoked ones are shown.
  await page.getByRole("button", { name: "Revoke the key alice" }).click();
  await inDialog(page, "Cancel").click();
  assert.equal((await call(url, "v1/models", { key: rotated })).status, 200);
  await page.getByRole("button", { name: "Revoke the key alice" }).click();
  await inDialog(page, "Revoke the key").click();
  await item(page, "alice").waitFor({ state: "detached" });
  assert.equal((await call(url, "v1/models", { key: rotated })).status, 401);
  await page.getByLabel("Show revoked").check();
  await item(page, "alice").getByText("Revoked", { exact: true }).waitFor();
  assert.equal(await item(page, "alice").getByRole("button").count(), 0);
  await page.click("#language-button");
  await item(page, "alice").getByText("已吊销", { exact: true }).waitFor();
  await checkWidths("keys-zh");
}

async function takenNameAndOwnKey({ page, url, watched }) {
  watched.allow(/409.*admin\/v1\/keys/);
  const { secret } = await json(url, "admin/v1/keys", { body: { name: "root", admin: true } });
  await open(page, url, secret);
  await page.getByRole("button", { name: "Create a key" }).click();
  await page.getByLabel("Name").fill("bob");
  await page.keyboard.press("Enter");
  await dialog(page).getByText("is taken by a key of the configuration").waitFor();
  assert.equal(await page.getByLabel("Name").getAttribute("aria-invalid"), "true");
  await inDialog(page, "Cancel").click();

  // The page goes on with the new secret of its own key.
  await page.getByRole("button", { name: "Rotate the secret of the key root" }).click();
  await page.getByLabel("The present secret stays valid").selectOption("Not at all");
  await inDialog(page, "Rotate the secret").click();
  const rotated = await takeSecret(page);
  assert.equal(await page.evaluate(() => sessionStorage.getItem("triptych.key")), rotated);
  await item(page, "root")
    .getByText(`…${rotated.slice(-4)}`)
    .waitFor();
}

async function manyKeys({ page, url }) {
  for (let index = 10; index < 40; index += 1) await json(url, "admin/v1/keys", { body: { name: `key-${index}` } });
  await open(page, url);
  await item(page, "bob").waitFor();
  assert.equal(await page.locator(".key").count(), 25);
  await page.getByRole("button", { name: "Show more" }).click();
  await item(page, "ops").waitFor();
  assert.equal(await page.locator(".key").count(), 32);
  assert.ok(await page.getByRole("button", { name: "Show more" }).isHidden());
}

async function ledger({ page, url, watched, checkWidths }) {
  watched.allow(/400.*ledger\/holds/);
  const budget = { name: "carol", limits: { budget_total: "50" } };
  const { secret } = await json(url, "admin/v1/keys", { body: budget });
  const video = { prompt: "a boat", size: "64x64", seconds: 2, model: "offline-video-fault-outcome-unknown" };
  const videos = [];
  for (let count = 0; count < 2; count += 1)
    videos.push((await json(url, "v1/videos", { key: secret, body: video })).id);
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const { data } = await json(url, "admin/v1/ledger/holds?state=outcome_unknown");
    if (data.length === 2) break;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  await open(page, url);
  await page.locator(".hold").first().waitFor();
  await page.getByLabel("State", { exact: true }).selectOption("Calls");
  await page.getByText("There are no open holds.").waitFor();
  await page.getByLabel("State", { exact: true }).selectOption("Outcome unknown");
  await page.locator(".hold").first().waitFor();
  assert.equal(await page.locator(".hold").count(), 2);
  await page.getByRole("button", { name: "Verify the ledger" }).click();
  await page.getByText("The sums of all budgets agree").waitFor();
  await checkWidths("ledger");

  const row = (id) => page.locator(`[data-hold="${id}"]`);
  await row(videos[0]).getByRole("button").click();
  await page.getByLabel("Cost in US dollars").fill("much");
  await inDialog(page, "Resolve").click();
  await dialog(page).getByText("cost: expected an amount").waitFor();
  await checkWidths("ledger-resolve");
  await page.getByLabel("Cost in US dollars").fill("0.70");
  await inDialog(page, "Resolve").click();
  await row(videos[0]).waitFor({ state: "detached" });
  assert.equal((await json(url, `v1/videos/${videos[0]}`, { key: secret })).cost, "0.70");

  await row(videos[1]).getByRole("button").click();
  await page.getByLabel("Outcome", { exact: true }).selectOption("Nothing was spent");
  assert.ok(await page.getByLabel("Cost in US dollars").isHidden());
  await inDialog(page, "Resolve").click();
  await page.getByText("There are no open holds.").waitFor();
  const { data } = await json(url, "v1/budgets");
  const { spent } = data.find(({ name }) => name === "carol");
  assert.equal(spent, "0.70");

  // A difference is named, with both figures.
  const discrepancy = { subject: "spent by key:carol", stored: "1.00", sum: "2.00" };
  await page.route(/ledger\/verify/, (route) =>
    route.fulfill({ json: { consistent: false, discrepancies: [discrepancy] } }),
  );
  await page.getByRole("button", { name: "Verify the ledger" }).click();
  await page.getByText("spent by key:carol: stored $1.00, sum $2.00").waitFor();
}

async function otherKeys({ page, url, watched }) {
  watched.allow(/403.*admin\/v1\/keys/);
  const refused = page.waitForResponse(/admin\/v1\/keys/);
  await open(page, url, BOB);
  assert.equal((await refused).status(), 403);
  await page.getByText("No calls in this period").waitFor();
  assert.ok(await page.locator("#usage-keys").isHidden());

  // The section appears with the key of an administrator.
  await page.click("#key-button");
  await page.fill("#key-input", OPS);
  await page.keyboard.press("Enter");
  await item(page, "ops").waitFor();
}

async function adminPort({ page, url, watched, checkWidths }) {
  watched.allow(/404.*admin\/v1\/keys/);
  await open(page, url);
  await page.getByText("API keys are not administered at this port").waitFor();
  assert.equal(await page.getByRole("button", { name: "Create a key" }).count(), 0);
  await checkWidths("keys-elsewhere");
}

export default [
  { title: "a key is created, edited, rotated and revoked", environment, test: lifeOfAKey },
  { title: "a taken name, and the key of the page", environment, test: takenNameAndOwnKey },
  { title: "more keys than a page of the list", environment, test: manyKeys },
  { title: "holds are resolved and the ledger verified", environment, test: ledger },
  { title: "other keys do not see the section", environment, test: otherKeys },
  {
    title: "the admin port has the API",
    environment: { ...environment, TRIPTYCH_ADMIN_LISTEN: "127.0.0.1:0" },
    test: adminPort,
  },
];
