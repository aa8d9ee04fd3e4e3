// Usage, budgets and models from the API, and sums of usage.
import { request, requestJson } from "../api.js";

/// The most rows of a response of the API.
const MAX_ROWS = 10_000;

const SUMS = [
  "calls",
  "errors",
  "input_tokens",
  "cached_tokens",
  "output_tokens",
  "reasoning_tokens",
  "images",
  "video_seconds",
  "cost_micros",
];

/// Reads the usage from one day to another: `total`, `daily` (by day and model), `keys` (by key and team), and whether rows are
/// missing because there are too many. `key` and `model` select; null selects all, and an empty key calls without a key.
export async function loadUsage(selection) {
  const lists = await Promise.all(
    ["", "day,model", "key,team"].map((groups) =>
      requestJson(`v1/usage?${query(selection, groups)}&limit=${MAX_ROWS}`, { askKey: false }),
    ),
  );
  const [total, daily, keys] = lists.map(({ data }) => data);
  return { total: total[0] ?? sum([]), daily, keys, isTruncated: lists.some((list) => list.has_more) };
}

/// Reads the budgets that the caller may see.
export async function loadBudgets() {
  return (await requestJson("v1/budgets", { askKey: false })).data;
}

/// Reads the models that the caller may call.
export async function loadModels() {
  return (await requestJson("v1/models", { askKey: false })).data;
}

/// Reads the usage as CSV, by day, key, team and model.
export async function loadCsv(selection) {
  return (await request(`v1/usage?${query(selection, "day,key,team,model")}&format=csv`)).blob();
}

function query({ from, to, key, model }, groups) {
  const parameters = new URLSearchParams({ start_date: from, end_date: to });
  if (groups) parameters.set("group_by", groups);
  if (key !== null) parameters.set("key", key);
  if (model !== null) parameters.set("model", model);
  return parameters;
}

/// Returns a row with the sums of rows.
export function sum(rows) {
  const total = Object.fromEntries(SUMS.map((name) => [name, 0]));
  for (const row of rows) for (const name of SUMS) total[name] += row[name];
  return total;
}

/// Returns rows with the sums for each value of a member, `[value, row]`, with the highest measure first.
export function sumBy(rows, member, measure) {
  const groups = Map.groupBy(rows, (row) => row[member] ?? "");
  return [...groups]
    .map(([value, group]) => [value, sum(group)])
    .sort(([, left], [, right]) => measure(right) - measure(left));
}
