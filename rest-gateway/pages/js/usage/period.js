// Periods of days. All days are in UTC, as those of the API, and texts such as `2026-11-28`.

export const PERIODS = ["month", "7d", "30d", "range"];

const DAY = 86_400_000;

/// Returns today.
export function today() {
  return isoDay(Date.now());
}

/// Returns the first and the last day of a period. For `range`, those of `custom`.
export function daysOf(period, custom) {
  const last = today();
  if (period === "month") return { from: `${last.slice(0, 7)}-01`, to: last };
  if (period === "range") return custom;
  return { from: isoDay(Date.now() - (parseInt(period, 10) - 1) * DAY), to: last };
}

/// Reads the fragment of the URL, such as `#30d` or `#2026-11-01..2026-11-28`: the period with its days. Default: this month.
export function fromFragment(fragment) {
  const name = fragment.slice(1);
  const [, from, to] = name.match(/^(\d{4}-\d\d-\d\d)\.\.(\d{4}-\d\d-\d\d)$/) ?? [];
  if (isDay(from) && isDay(to) && from <= to) return { period: "range", from, to };
  const period = PERIODS.includes(name) && name !== "range" ? name : "month";
  return { period, ...daysOf(period) };
}

/// Returns the fragment for a period.
export function toFragment({ period, from, to }) {
  return period === "range" ? `#${from}..${to}` : `#${period}`;
}

/// Returns the days, or beyond `most` days the months such as `2026-11`, from the first to the last day.
export function intervals({ from, to }, most) {
  const days = [];
  for (let time = Date.parse(from); time <= Date.parse(to); time += DAY) days.push(isoDay(time));
  return days.length <= most ? days : [...new Set(days.map((day) => day.slice(0, 7)))];
}

function isDay(text) {
  return Boolean(text) && !Number.isNaN(Date.parse(text));
}

function isoDay(time) {
  return new Date(time).toISOString().slice(0, 10);
}
