// The page "docs".
import { startPage } from "./shell.js";

await startPage("docs");
