// The documentation: the REST API from its OpenAPI document, and the gRPC services. The fragment of the URL selects the content: the id
// of an operation, or a section.
import { h, replace } from "../dom.js";
import { startPage } from "../shell.js";
import { errorNotice } from "../ui/status.js";
import { loadDocument } from "./document.js";
import { GRPC_SECTIONS, grpcView } from "./grpc.js";
import { mountNavigation } from "./navigation.js";
import { operationView } from "./operation.js";
import { startView } from "./start.js";

await startPage("docs");

const side = h("div", { class: "docs-side" });
const article = h("article", { class: "docs-article", "aria-labelledby": "docs-title" });
document.getElementById("docs").append(side, article);

let api = null;
let navigation = null;

/// Shows the content that the fragment of the URL selects. `isFirst`: the focus stays at the start of the page.
function show({ isFirst = false } = {}) {
  const id = decodeURIComponent(location.hash.slice(1)) || "start";
  const operation = api.operations.find((operation) => operation.id === id);
  const isGrpc = GRPC_SECTIONS.some(([section]) => section === id);
  replace(article, operation ? operationView(api, operation) : isGrpc ? grpcView() : startView());
  navigation.select(operation || isGrpc ? id : "start");
  const heading = document.getElementById(`section-${id}`);
  if (heading && id !== GRPC_SECTIONS[0][0]) heading.focus();
  else if (!isFirst) {
    scrollTo(0, 0);
    document.getElementById("docs-title").focus({ preventScroll: true });
  }
}

async function load() {
  replace(article, h("p", { class: "muted", role: "status", t: "common.loading" }));
  try {
    api = await loadDocument();
  } catch (error) {
    const retry = h("button", { class: "button", type: "button", t: "common.retry", onclick: load });
    replace(article, errorNotice(error), h("p", { class: "retry" }, retry));
    return;
  }
  replace(side);
  navigation = mountNavigation(side, api, GRPC_SECTIONS);
  show({ isFirst: true });
  addEventListener("hashchange", () => show());
  document.addEventListener("keychange", () => show({ isFirst: true }));
}

await load();
