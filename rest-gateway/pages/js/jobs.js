// The page "jobs".
import { startPage } from "./shell.js";

await startPage("jobs");
