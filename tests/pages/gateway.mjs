// Starts the executable on free ports, in a directory of its own, and serve.py in front of it if the pages are served from their sources.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/// The longest time for the start, in milliseconds. Far more than a busy machine needs.
const START_TIMEOUT = 60_000;

/// Variables of this environment that the executable would read as settings.
const SETTINGS =
  /^(TRIPTYCH_|CHAT_|IMAGE_|VIDEO_|ARK_|GEMINI_|DASHSCOPE_|MJ_|FAL_|KLING_|MINIMAX_|RUNWAYML_|VIDU_|XAI_|GOOGLE_|PUBLIC_BASE_URL)/;

/// Returns a running gateway: `url` with a slash at its end, `grpc`, `stop()`, `assertClean()`. `keys` is a value of TRIPTYCH_KEYS.
export async function startGateway(program, { environment = {}, keys, sources, root }) {
  const directory = await mkdtemp(join(tmpdir(), "triptych-pages-"));
  const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !SETTINGS.test(name)));
  const settings = {
    TRIPTYCH_REST_LISTEN: "127.0.0.1:0",
    TRIPTYCH_GRPC_LISTEN: "127.0.0.1:0",
    ...(keys ? { TRIPTYCH_KEYS: keys } : {}),
    ...environment,
  };
  const process_ = spawn(program, [], { cwd: directory, env: { ...inherited, ...settings } });
  let log = "";
  process_.stderr.on("data", (data) => {
    log += data;
  });
  const banner = await textUntil(process_, /openapi\.json/, () => log);
  let url = banner.match(/REST +(http:\/\/[^/]+)\/v1/)[1];
  const grpc = banner.match(/gRPC +(\S+)/)[1];
  let server = null;
  if (sources) {
    server = spawn("python3", [join(root, "tests/pages/serve.py"), "--port", "0", sources, url]);
    server.stderr.resume();
    url = (await textUntil(server, /http:\S+\//, () => "")).match(/http:\S+(?=\/)/)[0];
  }
  return {
    url: `${url}/`,
    grpc,
    /// Fails if the executable has logged an error.
    assertClean() {
      const errors = log.split("\n").filter((line) => /^\S+Z +ERROR |panicked at/.test(line));
      assert.deepEqual(errors, []);
    },
    async stop() {
      for (const child of [server, process_]) {
        if (!child || child.exitCode !== null) continue;
        child.kill("SIGTERM");
        await once(child, "exit");
      }
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/// Returns the standard output of a process as soon as it matches.
async function textUntil(child, pattern, log) {
  let text = "";
  const timeout = AbortSignal.timeout(START_TIMEOUT);
  return new Promise((resolve, reject) => {
    child.stdout.on("data", (data) => {
      text += data;
      if (pattern.test(text)) resolve(text);
    });
    child.on("exit", () => reject(new Error(`the process has ended: ${text}${log()}`)));
    timeout.addEventListener("abort", () => reject(new Error(`no start within ${START_TIMEOUT} ms: ${text}${log()}`)));
  });
}
