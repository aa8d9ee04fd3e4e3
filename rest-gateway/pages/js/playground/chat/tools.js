// Calls of tools: their arguments, and fields for the results with which the conversation continues.
import { h } from "../../dom.js";
import { codeBlock } from "../../ui/copy.js";
import { icon } from "../../ui/icons.js";
import { labelledControl } from "../shared/controls.js";

/// Returns the cards of the tool calls of a reply. At the end of the conversation they have fields for the results, which `run()`
/// sends to the model.
export function toolCalls(turn, { turns, isLast, isRunning, run }) {
  const calls = turn.toolCalls.filter(Boolean);
  if (calls.length === 0) return null;
  if (!isLast || isRunning || turn.error) return calls.map((call) => card(call));
  const areas = calls.map(() => h("textarea", { class: "textarea mono small", rows: "2", required: true }));
  return h(
    "form",
    {
      class: "stack",
      onsubmit: (event) => {
        event.preventDefault();
        for (const [at, { id, name }] of calls.entries()) turns.push({ role: "tool", id, name, text: areas[at].value });
        run();
      },
    },
    calls.map((call, at) => card(call, labelledControl("chat.tool.result", areas[at], { hint: "chat.tool.hint" }))),
    h(
      "div",
      { class: "row" },
      h("button", { class: "button button-primary" }, icon("play"), h("span", { t: "chat.tool.continue" })),
    ),
  );
}

function card({ name, arguments: text }, result) {
  return h(
    "div",
    { class: "tool-card" },
    h("p", { class: "tool-name" }, h("span", { class: "muted", t: "chat.tool.call" }), h("code", {}, name)),
    codeBlock(indented(text), { label: "chat.tool.arguments" }),
    result,
  );
}

function indented(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    // Not complete yet, or not JSON: models err.
    return text;
  }
}
