// Tables with the numbers of a chart.
import { h, replace } from "../dom.js";
import { money, number } from "../format.js";

/// The numbers of a row: the key of the heading, and the text.
const COLUMNS = [
  ["usage.cost", (row) => money(row.cost_micros / 1e6)],
  ["usage.calls", (row) => number(row.calls)],
  ["usage.errors", (row) => number(row.errors)],
  ["usage.input", (row) => number(row.input_tokens)],
  ["usage.cached", (row) => number(row.cached_tokens)],
  ["usage.output", (row) => number(row.output_tokens)],
  ["usage.reasoning", (row) => number(row.reasoning_tokens)],
  ["usage.images", (row) => number(row.images)],
  ["usage.seconds", (row) => number(row.video_seconds, 1)],
];

/// The rows that are added at once: thousands would take seconds.
const ROWS = 200;

/// Returns a table that opens below a chart. `rows` are `[name, row]`; `heading` and `caption` are keys of texts.
export function numbersTable({ heading, caption, rows }) {
  const details = h("details", { class: "numbers" }, h("summary", { t: "usage.numbers" }));
  details.addEventListener("toggle", () => details.append(...table(heading, caption, rows)), { once: true });
  return details;
}

function table(heading, caption, rows) {
  const body = h("tbody", {});
  const more = h("button", { class: "button button-small", type: "button", onclick: addRows });

  function addRows() {
    const shown = body.childElementCount;
    body.append(...rows.slice(shown, shown + ROWS).map(tableRow));
    const rest = rows.length - body.childElementCount;
    more.hidden = rest === 0;
    replace(more, h("span", { t: ["usage.moreRows", { count: number(Math.min(rest, ROWS)), rest: number(rest) }] }));
  }

  addRows();
  const headings = COLUMNS.map(([t]) => h("th", { scope: "col", class: "numeric", t }));
  return [
    h(
      "div",
      { class: "table-wrap", tabindex: "0", role: "region", tAttrs: { "aria-label": caption } },
      h(
        "table",
        { class: "table" },
        h("caption", { class: "visually-hidden", t: caption }),
        h("thead", {}, h("tr", {}, h("th", { scope: "col", t: heading }), headings)),
        body,
      ),
    ),
    more,
  ];
}

function tableRow([name, row]) {
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, name),
    COLUMNS.map(([, text]) => h("td", { class: "numeric" }, text(row))),
  );
}
