// Runs the examples of the README, one after the other as one program.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { promisify } from "node:util";
import { API_KEY, Server } from "./server.mjs";

test("the examples run", async (t) => {
  const server = await Server.start();
  t.after(() => server.stop());
  const readme = readFileSync("node_modules/triptych-client/README.md", "utf8");
  const blocks = [...readme.matchAll(/^```js\n(.*?)^```/gms)].map(([, code]) => code);
  writeFileSync("readme.mjs", `${blocks.join("\n").replace("127.0.0.1:50051", server.address)}\nclient.close();\n`);
  const env = { ...process.env, TRIPTYCH_API_KEY: API_KEY };
  const { stdout } = await promisify(execFile)(process.execPath, ["readme.mjs"], { env, timeout: 120_000 });
  assert.match(stdout, /100 %\nno such video/);
  // The files that the examples write.
  for (const name of ["lighthouse.png", "waves.mp4"]) assert.ok(statSync(name).size > 1000);
});
