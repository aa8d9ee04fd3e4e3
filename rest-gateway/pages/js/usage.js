// The page "usage".
import { startPage } from "./shell.js";

await startPage("usage");
