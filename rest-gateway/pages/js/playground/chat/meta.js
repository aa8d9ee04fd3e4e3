// The facts about a call: tokens, times, cost, and the id of the request.
import { h } from "../../dom.js";
import { latency, money, number } from "../../format.js";
import { copyButton } from "../../ui/copy.js";

/// Returns the line below a reply.
export function metaLine({ usage, firstAfter, took, cost, requestId }) {
  const tokens = usage && { prompt: number(usage.prompt_tokens), completion: number(usage.completion_tokens) };
  const id = requestId ?? "";
  return h(
    "ul",
    { class: "meta numeric", role: "list", tAttrs: { "aria-label": "chat.meta" } },
    tokens && h("li", { t: ["chat.meta.tokens", tokens] }),
    firstAfter !== undefined && h("li", { t: ["chat.meta.first", { duration: latency(firstAfter) }] }),
    took !== undefined && h("li", { t: ["chat.meta.total", { duration: latency(took) }] }),
    cost != null && h("li", { t: ["chat.meta.cost", { cost: money(cost) }] }),
    id &&
      h(
        "li",
        { class: "meta-id" },
        h("span", { class: "mono", title: id }, id.length > 14 ? `${id.slice(0, 12)}…` : id),
        copyButton(() => id, { label: "error.copyRequestId" }),
      ),
  );
}
