// Numbers, sizes, times and money in the notation of the current language.
import { language } from "./i18n.js";

const formats = new Map();

function format(Type, options) {
  const name = `${Type.name} ${language()} ${JSON.stringify(options)}`;
  if (!formats.has(name)) formats.set(name, new Type(language() === "zh" ? "zh-CN" : "en", options));
  return formats.get(name);
}

/// Returns a number with at most `digits` decimals.
export function number(value, digits = 0) {
  return format(Intl.NumberFormat, { maximumFractionDigits: digits }).format(value);
}

/// Returns a share of one as a percentage without decimals.
export function percent(share) {
  return format(Intl.NumberFormat, { style: "percent" }).format(share);
}

/// Returns a size in bytes with a unit: `1.2 MB`.
export function bytes(value) {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];
  let unit = 0;
  let amount = value;
  while (amount >= 1000 && unit < units.length - 1) {
    amount /= 1000;
    unit += 1;
  }
  return format(Intl.NumberFormat, {
    style: "unit",
    unit: units[unit],
    unitDisplay: "short",
    maximumFractionDigits: unit && amount < 100 ? 1 : 0,
  }).format(amount);
}

/// Returns a time in seconds: `0.4 s`, `12 s`, `3 min 5 s`, `2 h 10 min`.
export function duration(seconds) {
  const unit = (value, name, digits = 0) =>
    format(Intl.NumberFormat, {
      style: "unit",
      unit: name,
      unitDisplay: "short",
      maximumFractionDigits: digits,
    }).format(value);
  if (seconds < 10) return unit(seconds, "second", 1);
  const whole = Math.round(seconds);
  if (whole < 60) return unit(whole, "second");
  const parts =
    whole < 3600
      ? [
          [Math.floor(whole / 60), "minute"],
          [whole % 60, "second"],
        ]
      : [
          [Math.floor(whole / 3600), "hour"],
          [Math.floor((whole % 3600) / 60), "minute"],
        ];
  return parts
    .filter(([value]) => value > 0)
    .map(([value, name]) => unit(value, name))
    .join(" ");
}

/// Returns the time of a call in seconds: `35 ms` below one second, else as `duration`.
export function latency(seconds) {
  if (seconds >= 0.9995) return duration(seconds);
  return format(Intl.NumberFormat, {
    style: "unit",
    unit: "millisecond",
    unitDisplay: "short",
    maximumFractionDigits: 0,
  }).format(seconds * 1000);
}

/// Returns an amount of US dollars, which the API writes as a text with up to six decimals.
export function money(usd) {
  const amount = Number(usd);
  const digits = amount !== 0 && Math.abs(amount) < 1 ? 6 : 2;
  return format(Intl.NumberFormat, {
    style: "currency",
    currency: "USD",
    currencyDisplay: "narrowSymbol",
    minimumFractionDigits: 2,
    maximumFractionDigits: digits,
  }).format(amount);
}

/// Returns the date and time of Unix seconds.
export function dateTime(unixSeconds) {
  return format(Intl.DateTimeFormat, { dateStyle: "medium", timeStyle: "medium" }).format(unixSeconds * 1000);
}

/// Returns the time of day of Unix seconds.
export function timeOfDay(unixSeconds) {
  return format(Intl.DateTimeFormat, { timeStyle: "medium" }).format(unixSeconds * 1000);
}

/// Returns a date of the API, such as `2026-11-28`.
export function date(isoDate) {
  return format(Intl.DateTimeFormat, { dateStyle: "medium", timeZone: "UTC" }).format(new Date(`${isoDate}T00:00:00Z`));
}

/// Returns the distance of Unix seconds from now: `5 minutes ago`.
export function relativeTime(unixSeconds) {
  const seconds = unixSeconds - Date.now() / 1000;
  const [unit, length] = [
    ["day", 86400],
    ["hour", 3600],
    ["minute", 60],
  ].find(([, length]) => Math.abs(seconds) >= length) ?? ["second", 1];
  return format(Intl.RelativeTimeFormat, { numeric: "auto" }).format(Math.round(seconds / length), unit);
}

/// Returns a month of the API, such as `2026-11`.
export function month(isoMonth) {
  const options = { year: "numeric", month: "short", timeZone: "UTC" };
  return format(Intl.DateTimeFormat, options).format(new Date(`${isoMonth}-01T00:00:00Z`));
}

/// Returns the day and month of a date of the API: `Nov 28`.
export function dayOfMonth(isoDate) {
  const options = { month: "short", day: "numeric", timeZone: "UTC" };
  return format(Intl.DateTimeFormat, options).format(new Date(`${isoDate}T00:00:00Z`));
}
