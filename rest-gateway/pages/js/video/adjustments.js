// Adjustments: the differences between the requested parameters and those that the model gets.
import { h } from "../dom.js";
import { t } from "../i18n.js";

/// Returns the list of adjustments. `title` is the key of its heading.
export function adjustmentList(adjustments, title = "video.adjustments") {
  return h(
    "div",
    { class: "notice notice-warn" },
    h("p", { class: "notice-title", t: title }),
    h(
      "ul",
      { class: "adjustments", role: "list" },
      adjustments.map(({ field, requested, used }) =>
        h("li", {}, h("span", { class: "mono" }, field), `: ${requested} → `, used ?? t("video.adjustments.none")),
      ),
    ),
  );
}
