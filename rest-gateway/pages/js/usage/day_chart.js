// A chart with a bar per day, in which chat, images and video are stacked.
import { h } from "../dom.js";
import { date, dayOfMonth, month } from "../format.js";
import { t } from "../i18n.js";
import { svg } from "../ui/svg.js";
import { sum } from "./data.js";
import { niceMaximum } from "./measures.js";
import { intervals } from "./period.js";
import { numbersTable } from "./table.js";

const MODALITIES = ["chat", "image", "video"];
/// Beyond this number of days, a bar stands for a month.
const MAX_DAYS = 92;
/// The height of the drawing, in its own units; its width is one per bar. Both are stretched to the page.
const HEIGHT = 100;
const GAP = 0.16;

/// Returns the chart of rows by day and modality.
export function dayChart({ rows, selection, measure }) {
  const names = intervals(selection, MAX_DAYS);
  const isMonthly = names[0].length === 7;
  const label = isMonthly ? month : date;
  const byName = Map.groupBy(rows, (row) => row.day.slice(0, names[0].length));
  const bars = names.map((name) => {
    const group = byName.get(name) ?? [];
    const parts = MODALITIES.map((modality) => [modality, sum(group.filter((row) => row.modality === modality))]);
    return { name: label(name), short: isMonthly ? label(name) : dayOfMonth(name), parts, total: sum(group) };
  });
  const highest = bars.reduce((best, bar) => (measure.value(bar.total) > measure.value(best.total) ? bar : best));
  const maximum = niceMaximum(measure.value(highest.total), measure);
  const summary = t(isMonthly ? "usage.days.summaryMonths" : "usage.days.summary", {
    first: bars[0].name,
    last: bars.at(-1).name,
    total: measure.text(measure.value(sum(rows))),
    day: highest.name,
    highest: measure.text(measure.value(highest.total)),
  });
  const title = isMonthly ? "usage.months.title" : "usage.days.title";
  return h(
    "section",
    { class: "card card-body chart" },
    h("div", { class: "chart-head" }, h("h3", { t: title }), legend(rows)),
    h(
      "div",
      { class: "day-chart", role: "img", "aria-label": summary },
      h(
        "div",
        { class: "day-scale numeric" },
        [maximum, maximum / 2, 0].map((value) => h("span", {}, measure.text(value))),
      ),
      h("div", { class: "day-plot" }, drawing(bars, maximum, measure)),
      axis(bars),
    ),
    numbersTable({
      heading: isMonthly ? "usage.month" : "usage.day",
      caption: title,
      rows: bars.map((bar) => [bar.name, bar.total]).reverse(),
    }),
  );
}

function drawing(bars, maximum, measure) {
  const image = svg("svg", { viewBox: `0 0 ${bars.length} ${HEIGHT}`, preserveAspectRatio: "none" });
  for (const [index, bar] of bars.entries()) {
    const lines = bar.parts
      .filter(([, row]) => measure.value(row) > 0)
      .map(([modality, row]) => `${t(`modality.${modality}`)}: ${measure.text(measure.value(row))}`);
    const group = svg(
      "g",
      { class: "day" },
      svg("title", {}, [`${bar.name}: ${measure.text(measure.value(bar.total))}`, ...lines].join("\n")),
      // The whole column shows the numbers, also above a low bar.
      svg("rect", { class: "day-column", x: index, y: 0, width: 1, height: HEIGHT }),
    );
    let top = HEIGHT;
    for (const [modality, row] of bar.parts) {
      const height = (measure.value(row) / maximum) * HEIGHT;
      top -= height;
      const shape = { x: index + GAP / 2, y: top, width: 1 - GAP, height };
      if (height > 0) group.append(svg("rect", { class: `bar bar-${modality}`, ...shape }));
    }
    image.append(group);
  }
  return image;
}

/// Returns the short names of the first, the middle and the last bar.
function axis(bars) {
  const shown = [...new Set([bars[0], bars[Math.floor((bars.length - 1) / 2)], bars.at(-1)])];
  return h(
    "div",
    { class: "day-axis" },
    shown.map((bar) => h("span", {}, bar.short)),
  );
}

function legend(rows) {
  const present = MODALITIES.filter((modality) => rows.some((row) => row.modality === modality));
  return h(
    "ul",
    { class: "legend", role: "list" },
    present.map((modality) => h("li", { class: `legend-item panel-${modality}`, t: `modality.${modality}` })),
  );
}
