// Shared by the tests: a Triptych process with its built-in engines, which can be killed and started again.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

export const API_KEY = "the-secret-of-the-tests";

async function freePort() {
  const listener = createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address();
  listener.close();
  return port;
}

/** The program TRIPTYCH_BIN on a free port, with an API key and an empty data directory. */
export class Server {
  #directory = mkdtempSync(join(tmpdir(), "triptych-"));
  #process;

  static async start() {
    const server = new Server();
    server.address = `127.0.0.1:${await freePort()}`;
    await server.start();
    return server;
  }

  /** Resolves when the process listens, which its start-up banner shows. */
  async start() {
    const env = {
      PATH: process.env.PATH,
      TRIPTYCH_GRPC_LISTEN: this.address,
      TRIPTYCH_REST_LISTEN: "127.0.0.1:0",
      TRIPTYCH_KEYS: `tests:${API_KEY}`,
      // The next process resumes a job when the lease of the killed one has expired.
      TRIPTYCH_JOBS_LEASE: "2s",
    };
    const log = join(this.#directory, "log");
    const errors = openSync(log, "a");
    this.#process = spawn(process.env.TRIPTYCH_BIN, { cwd: this.#directory, env, stdio: ["ignore", "pipe", errors] });
    closeSync(errors);
    for await (const line of createInterface({ input: this.#process.stdout })) {
      if (/^ *gRPC /.test(line)) return;
    }
    throw new Error(`the server did not start: ${readFileSync(log, "utf8")}`);
  }

  async kill() {
    // A process that has ended sends no "exit" again.
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const exited = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await exited;
  }

  async stop() {
    await this.kill();
    rmSync(this.#directory, { recursive: true });
  }
}
