// A chart with a horizontal bar per key, team or model.
import { h, uniqueId } from "../dom.js";
import { number, percent } from "../format.js";
import { t } from "../i18n.js";
import { svg } from "../ui/svg.js";
import { numbersTable } from "./table.js";

/// The bars that are drawn. The table has all.
const MAX_BARS = 10;

/// Returns the chart of `rows`, which are `[name, row]` with the highest first. `title` and `heading` are keys of texts.
/// `panelOf(name)` is the modality whose colour a bar has, or undefined.
export function barChart({ title, heading, rows, measure, panelOf = () => undefined }) {
  const values = rows.map(([, row]) => measure.value(row));
  const total = values.reduce((sum, value) => sum + value, 0);
  const highest = Math.max(...values, 1);
  const shown = rows.slice(0, MAX_BARS);
  const rest = values.slice(MAX_BARS).reduce((sum, value) => sum + value, 0);
  const items = shown.map(([name, row]) => ({ name, value: measure.value(row), panel: panelOf(name) }));
  const summary = items.map(({ name, value }) => `${name}: ${measure.text(value)}`);
  const id = uniqueId("chart");
  return h(
    "section",
    { class: "card card-body chart", "aria-labelledby": id },
    h("div", { class: "chart-head" }, h("h3", { id, t: title })),
    h(
      "div",
      { class: "bar-chart", role: "img", "aria-label": `${t(title)}. ${summary.join("; ")}` },
      items.map(({ name, value, panel }) =>
        h(
          "div",
          { class: `bar-row ${panel ? `panel-${panel}` : ""}` },
          h("span", { class: "bar-name", title: name }, name),
          h("span", { class: "bar-value numeric" }, measure.text(value)),
          h("span", { class: "bar-share numeric" }, total > 0 ? percent(value / total) : ""),
          bar(value / highest),
        ),
      ),
    ),
    rows.length > MAX_BARS &&
      h("p", { class: "small muted" }, [
        t("usage.further", { n: rows.length - MAX_BARS, count: number(rows.length - MAX_BARS) }),
        ` ${measure.text(rest)}`,
      ]),
    numbersTable({ heading, caption: title, rows }),
  );
}

function bar(share) {
  return svg(
    "svg",
    { class: "bar-track", viewBox: "0 0 100 1", preserveAspectRatio: "none" },
    svg("rect", { class: "bar", x: 0, y: 0, width: Math.max(share * 100, share > 0 ? 0.5 : 0), height: 1 }),
  );
}
