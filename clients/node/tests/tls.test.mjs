// The client behind a proxy that terminates TLS.

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect as connectTo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { createServer } from "node:tls";
import { connect } from "triptych-client";
import { API_KEY, Server } from "./server.mjs";

const skip = spawnSync("openssl", ["version"]).status !== 0 && "openssl makes the certificate";

test("the certificate is verified", { skip }, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "triptych-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const [certificate, key] = ["certificate.pem", "key.pem"].map((name) => join(directory, name));
  const options = "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -addext subjectAltName=DNS:localhost";
  execFileSync("openssl", [...options.split(" "), "-keyout", key, "-out", certificate], { stdio: "ignore" });
  const cert = readFileSync(certificate);

  const server = await Server.start();
  t.after(() => server.stop());
  const [host, port] = server.address.split(":");
  const proxy = createServer({ cert, key: readFileSync(key), ALPNProtocols: ["h2"] }, (client) => {
    const upstream = connectTo(Number(port), host);
    client.on("error", () => upstream.destroy()).pipe(upstream);
    upstream.on("error", () => client.destroy()).pipe(client);
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  t.after(() => proxy.close());

  const target = `localhost:${proxy.address().port}`;
  const trusting = connect(target, { apiKey: API_KEY, tls: { ca: cert } });
  assert.ok((await trusting.model.listModels({}, { timeoutMs: 60_000 })).models.length > 0);
  trusting.close();
  // The certificate is not a public one.
  const careful = connect(target, { apiKey: API_KEY, tls: true });
  await assert.rejects(careful.model.listModels({}, { timeoutMs: 5_000 }), /self-signed certificate/);
  careful.close();
});
