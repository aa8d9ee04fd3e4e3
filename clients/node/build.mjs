// Generates the code from the proto files, compiles it, and copies the licences: npm packs no files from outside of the package.

import { execFileSync } from "node:child_process";
import { copyFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";

const root = import.meta.dirname;
const env = { ...process.env, PATH: [join(root, "node_modules/.bin"), process.env.PATH].join(delimiter) };
const run = (program, ...parameters) => execFileSync(program, parameters, { cwd: root, env, stdio: "inherit" });

for (const directory of ["src/gen", "dist"]) rmSync(join(root, directory), { recursive: true, force: true });
run("buf", "generate");
// Names are unique in the contract, so one module has the contents of all files.
const files = readdirSync(join(root, "src/gen/triptych/v1")).map((name) => name.replace(/\.ts$/, ".js"));
writeFileSync(join(root, "src/gen/v1.ts"), files.map((name) => `export * from "./triptych/v1/${name}";\n`).join(""));
run("tsc");
for (const name of ["LICENSE-MIT", "LICENSE-APACHE"]) copyFileSync(join(root, "../..", name), join(root, name));
