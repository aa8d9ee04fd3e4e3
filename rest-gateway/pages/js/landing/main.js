// The overview: a panel for each modality with its provider and a box to try it, and code to start with.
import { url } from "../base.js";
import { h } from "../dom.js";
import { startPage } from "../shell.js";
import { mountConnection } from "./connection.js";
import { mountPanels } from "./panels.js";
import { mountSnippets } from "./snippets.js";

await startPage("overview");

const NEXT = ["playground", "jobs", "usage", "docs"];
document
  .getElementById("next")
  .append(
    ...NEXT.map((page) =>
      h(
        "li",
        {},
        h(
          "a",
          { class: "next-link card", href: url(page) },
          h("span", { class: "next-title", t: `shell.nav.${page}` }),
          h("span", { class: "small muted", t: `overview.next.${page}` }),
        ),
      ),
    ),
  );
const snippets = mountSnippets(document.getElementById("snippets"));
mountConnection(document.getElementById("connection"));
await mountPanels(document.getElementById("status"), document.getElementById("panels"), snippets);
