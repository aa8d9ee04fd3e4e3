// One request in the gallery: its prompt, facts about the call, and its images.
import { h, replace } from "../../dom.js";
import { latency, money, number } from "../../format.js";
import { copyButton } from "../../ui/copy.js";
import { failureNotice } from "../shared/failure.js";
import { imageTile } from "./tile.js";

/// Returns the entry of a request, with the functions that `callImages` calls, `end()`, `stop()`, `fail(error, retry)`, `remove()`,
/// and `wanted` and `count`, the numbers of images that were requested and that have arrived.
export function entryView({ members, pictures }, { onuse }) {
  const start = performance.now();
  const wanted = members.n;
  const known = { model: members.model };
  const meta = h("ul", { class: "meta numeric", role: "list", tAttrs: { "aria-label": "images.meta" } });
  const notice = h("div", { class: "stack" });
  const tiles = Array.from({ length: wanted }, (_, index) =>
    imageTile({ prompt: members.prompt, size: members.size, index, onuse }),
  );
  const grid = h(
    "ul",
    { class: "tiles", role: "list" },
    tiles.map(({ element }) => element),
  );
  const element = h(
    "li",
    { class: "entry", "aria-busy": "true" },
    h(
      "div",
      { class: "entry-head" },
      h("h3", { class: "entry-prompt" }, members.prompt),
      pictures.length > 0 && h("p", { class: "small muted", t: ["images.edited", { n: pictures.length }] }),
      meta,
    ),
    notice,
    grid,
  );

  function info({ usage, ...values }) {
    for (const [name, value] of Object.entries(values)) if (value) known[name] = value;
    // A stream has the usage of each image.
    if (usage) known.tokens = (known.tokens ?? 0) + usage.total_tokens;
    show();
  }

  function show() {
    const { model, size, tokens, cost, requestId, took } = known;
    replace(
      meta,
      model && h("li", { class: "mono" }, model),
      size && size !== "auto" && h("li", {}, size.replace("x", " × ")),
      took && h("li", { t: ["images.meta.took", { duration: latency(took) }] }),
      tokens && h("li", { t: ["images.meta.tokens", { tokens: number(tokens) }] }),
      cost && h("li", { t: ["images.meta.cost", { cost: money(cost) }] }),
      requestId &&
        h(
          "li",
          { class: "meta-id" },
          h("span", { class: "mono", title: requestId }, `${requestId.slice(0, 12)}…`),
          copyButton(() => requestId, { label: "error.copyRequestId" }),
        ),
    );
  }

  /// Ends the request: tiles without an image disappear.
  function end() {
    element.setAttribute("aria-busy", "false");
    for (const tile of tiles) tile.end();
    info({ took: (performance.now() - start) / 1000 });
  }

  document.addEventListener("languagechange", show);
  show();
  return {
    element,
    wanted,
    get count() {
      return tiles.filter(({ isComplete }) => isComplete()).length;
    },
    info,
    preview: (index, blob) => tiles[index]?.preview(blob),
    image: (index, image) => tiles[index]?.image(image),
    failure: (index, error) => tiles[index]?.failure(error),
    end,
    stop() {
      end();
      replace(notice, h("p", { class: "small muted", t: "images.stopped" }));
    },
    fail(error, retry) {
      end();
      replace(notice, failureNotice(error, retry));
    },
    remove() {
      document.removeEventListener("languagechange", show);
      for (const tile of tiles) tile.remove();
      element.remove();
    },
  };
}
