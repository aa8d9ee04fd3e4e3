// Code to start with: for each modality and tool, with the base URL of this gateway and its default models.
import { url } from "../base.js";
import { h, replace } from "../dom.js";
import { getKey } from "../key.js";
import { codeBlock } from "../ui/copy.js";
import { tabs } from "../ui/tabs.js";
import { snippet, TOOLS } from "./snippet_texts.js";

/// Shows the code. Returns `{ setModels(models), requireKey() }`: `setModels` sets the default model of each modality; after
/// `requireKey`, the code contains a key.
export function mountSnippets(root) {
  let models = new Map();
  let modality = "chat";
  let tool = TOOLS[0].id;
  let panel = null;
  let isKeyRequired = false;
  const note = h("p", { class: "small muted snippet-note" });

  const show = () => {
    if (!panel) return;
    const hasKey = isKeyRequired || Boolean(getKey());
    const model = models.get(modality)?.id ?? "MODEL";
    replace(panel, codeBlock(snippet(tool, modality, { base: url("v1"), host: location.hostname, model, hasKey })));
    const text =
      tool === "grpcurl" ? "overview.snippets.grpc" : hasKey ? "overview.snippets.key" : "overview.snippets.noKey";
    replace(note, h("span", { t: text }));
  };

  const panels = tabs({
    label: "overview.snippets.panels",
    isSegmented: true,
    tabs: ["chat", "image", "video"].map((id) => ({ id, t: `modality.${id}` })),
    onselect: (id) => {
      modality = id;
      show();
    },
  });
  const tools = tabs({
    label: "overview.snippets.tools",
    tabs: TOOLS,
    onselect: (id, container) => {
      tool = id;
      panel = container;
      show();
    },
  });
  panels.list.querySelectorAll("[role=tab]").forEach((tab) => tab.setAttribute("aria-controls", tools.panel.id));
  root.querySelector(".section-head").append(panels.list);
  root.append(h("div", { class: "snippets" }, tools.list, tools.panel, note));
  document.addEventListener("keychange", show);
  return {
    setModels(value) {
      models = value;
      show();
    },
    requireKey() {
      isKeyRequired = true;
      show();
    },
  };
}
