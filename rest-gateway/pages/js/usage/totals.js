// The totals of the period.
import { h } from "../dom.js";
import { duration, money, number, percent } from "../format.js";
import { t } from "../i18n.js";

/// Returns the totals of a row.
export function totals(row) {
  const share = row.calls > 0 ? percent(row.errors / row.calls) : "";
  return h(
    "dl",
    { class: "totals" },
    total("usage.cost", money(row.cost_micros / 1e6)),
    total("usage.calls", number(row.calls)),
    total("usage.errors", number(row.errors), row.errors > 0 && t("usage.ofCalls", { share }), row.errors > 0),
    total(
      "usage.input",
      number(row.input_tokens),
      row.input_tokens > 0 && t("usage.ofCached", { count: number(row.cached_tokens) }),
    ),
    total(
      "usage.output",
      number(row.output_tokens),
      row.output_tokens > 0 && t("usage.ofReasoning", { count: number(row.reasoning_tokens) }),
    ),
    total("usage.images", number(row.images)),
    total("usage.video", duration(row.video_seconds)),
  );
}

function total(label, value, detail, isBad = false) {
  return h(
    "div",
    { class: "total card" },
    h("dt", { t: label }),
    h("dd", {}, h("span", { class: `total-value numeric ${isBad ? "total-bad" : ""}` }, value)),
    detail && h("dd", { class: "total-detail numeric" }, detail),
  );
}
