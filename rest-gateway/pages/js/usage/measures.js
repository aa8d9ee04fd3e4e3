// The measures of the charts: cost, calls, tokens.
import { money, number } from "../format.js";

/// By name: the value of a row, its text, and the least end of a scale, whose half must have a text of its own.
export const MEASURES = {
  cost: { value: (row) => row.cost_micros, text: (micros) => money(micros / 1e6), least: 1000 },
  calls: { value: (row) => row.calls, text: (calls) => number(calls), least: 2 },
  tokens: { value: (row) => row.input_tokens + row.output_tokens, text: (tokens) => number(tokens), least: 2 },
};

/// Returns the end of a scale for a measure: at least `value`, with one digit other than zero.
export function niceMaximum(value, { least }) {
  const amount = Math.max(value, least);
  const power = 10 ** Math.floor(Math.log10(amount));
  return [1, 2, 4, 6, 8, 10].find((factor) => factor * power >= amount) * power;
}
