// The charts of the period: by day, model, key and team.
import { h, replace } from "../dom.js";
import { t } from "../i18n.js";
import { url } from "../base.js";
import { emptyState } from "../ui/status.js";
import { tabs } from "../ui/tabs.js";
import { barChart } from "./bar_chart.js";
import { sumBy } from "./data.js";
import { dayChart } from "./day_chart.js";
import { MEASURES } from "./measures.js";
import { totals } from "./totals.js";

/// Returns the report. `measure` is the name of the measure of the charts; `onmeasure(name)` gets another.
export function report({ usage, selection, measure, onmeasure }) {
  if (usage.total.calls === 0) {
    const link = h("a", { class: "button button-primary", href: url("playground"), t: "usage.empty.action" });
    return [emptyState("usage.empty.title", "usage.empty.text", link)];
  }
  const charts = h("div", { class: "charts" });
  const { list, panel } = tabs({
    label: "usage.measure",
    isSegmented: true,
    selected: measure,
    tabs: Object.keys(MEASURES).map((id) => ({ id, t: `usage.measure.${id}` })),
    onselect(id, panel) {
      if (id !== measure) onmeasure(id);
      replace(charts, chartsOf({ usage, selection, measure: MEASURES[id] }));
      panel.append(charts);
    },
  });
  return [
    usage.isTruncated && h("p", { class: "notice notice-warn", t: "usage.truncated" }),
    totals(usage.total),
    h("div", { class: "section-head section" }, h("h2", { t: "usage.charts" }), list),
    panel,
  ];
}

function chartsOf({ usage, selection, measure }) {
  const modalities = new Map(usage.daily.map((row) => [row.model, row.modality]));
  const by = (rows, member) => sumBy(rows, member, measure.value);
  const named = (rows, key) => rows.map(([name, row]) => [name || t(key), row]);
  const teams = by(usage.keys, "team");
  return [
    dayChart({ rows: usage.daily, selection, measure }),
    h(
      "div",
      { class: "chart-columns" },
      barChart({
        title: "usage.byModel",
        heading: "usage.model",
        rows: by(usage.daily, "model"),
        measure,
        panelOf: (name) => modalities.get(name),
      }),
      h(
        "div",
        { class: "charts" },
        barChart({
          title: "usage.byKey",
          heading: "usage.key",
          rows: named(by(usage.keys, "key"), "usage.noKey"),
          measure,
        }),
        teams.some(([name]) => name) &&
          barChart({ title: "usage.byTeam", heading: "usage.team", rows: named(teams, "usage.noTeam"), measure }),
      ),
    ),
  ];
}
