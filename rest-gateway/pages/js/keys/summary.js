// The limits and the history of a key, as short texts.
import { h } from "../dom.js";
import { dateTime, money, number, relativeTime } from "../format.js";

const COUNTS = ["requests_per_minute", "tokens_per_minute", "concurrent_calls", "jobs_in_flight"];
const BUDGETS = ["budget_per_day", "budget_per_month", "budget_total"];

/// The models that are named; the rest is counted.
const MAX_MODELS = 4;

/// Returns the limits and budgets of a key as short texts.
export function limitsSummary(limits) {
  const facts = [
    ...BUDGETS.filter((name) => limits[name] !== null).map((name) =>
      fact([`keys.short.${name}`, { amount: money(limits[name]) }]),
    ),
    ...COUNTS.filter((name) => limits[name] > 0).map((name) =>
      fact([`keys.short.${name}`, { n: limits[name], count: number(limits[name]) }]),
    ),
  ];
  const models = limits.models.slice(0, MAX_MODELS).map((name) => h("code", { class: "code-inline" }, name));
  const rest = limits.models.length - models.length;
  if (facts.length + models.length === 0) return h("p", { class: "small muted", t: "keys.short.unlimited" });
  return h(
    "ul",
    { class: "key-limits numeric", role: "list" },
    models.length > 0 &&
      h("li", { class: "row" }, models, rest > 0 && h("span", { t: ["keys.short.models", { count: number(rest) }] })),
    facts,
  );
}

function fact(t) {
  return h("li", { t });
}

/// Returns the secret, the expiry and the author of a key as a line of texts.
export function keyHistory(key) {
  const { secret_hint: hint, expires_at: expires, previous_secret_expires_at: previous, revoked_at: revoked } = key;
  const now = Date.now() / 1000;
  const at = (name, seconds) =>
    h("span", { title: relativeTime(seconds), t: [`keys.${name}`, { time: dateTime(seconds) }] });
  const ago = (name, seconds) =>
    h("span", { title: dateTime(seconds), t: [`keys.${name}`, { time: relativeTime(seconds) }] });
  return h(
    "p",
    { class: "key-history" },
    hint && h("span", { class: "mono", tAttrs: { title: "keys.secretHint" } }, `…${hint}`),
    previous > now && !revoked && at("previousUntil", previous),
    revoked && ago("revokedAt", revoked),
    !revoked && expires !== null && (expires > now ? at("expires", expires) : ago("expiredAt", expires)),
    !revoked && expires === null && key.origin === "stored" && h("span", { t: "keys.neverExpires" }),
    key.created_at !== null &&
      h("span", {
        title: dateTime(key.created_at),
        t: ["keys.created", { name: key.created_by ?? "", time: relativeTime(key.created_at) }],
      }),
    key.origin === "configuration" && h("span", { t: "keys.inConfiguration" }),
  );
}
