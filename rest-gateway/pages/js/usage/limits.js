// The caller's own limits, as far as the API has them: the models that it may call.
import { h } from "../dom.js";
import { number } from "../format.js";

/// Returns the models that the caller may call, by modality, and a hint that responses have the rates.
export function ownLimits(models) {
  return h(
    "div",
    { class: "card card-body stack" },
    h("h3", { t: "usage.limits.models" }),
    h(
      "dl",
      { class: "facts" },
      ["chat", "image", "video"].map((modality) => {
        const ids = models.filter((model) => model.modality === modality).map((model) => model.id);
        return [
          h("dt", { t: `modality.${modality}` }),
          ids.length === 0
            ? h("dd", { class: "muted", t: "usage.limits.noModel" })
            : h(
                "dd",
                { class: "model-list" },
                ids.map((id) => h("code", { class: "code-inline" }, id)),
                ids.length > 3 && h("span", { class: "small muted" }, `(${number(ids.length)})`),
              ),
        ];
      }),
    ),
    h("p", { class: "small muted", t: "usage.limits.rates" }),
  );
}
