// One call of a chat model, whose reply is added to a turn of the conversation as it arrives.
import { requestJson, stream } from "../../api.js";

const PATH = "v1/chat/completions";

/// Calls the model, and calls `onchange()` after each part of the reply. Adds to the turn: `text`, `reasoning`, `toolCalls`,
/// `finish`, `usage`, `cost`, `requestId`, and `firstAfter` and `took` in seconds.
///
/// Throws an `ApiError`, or the `AbortError` of the signal.
export async function callChat({ conversation, parameters, turn, signal, onchange }) {
  const { system, isStreamed, body, model } = parameters;
  const json = { ...(model ? { model } : {}), messages: conversation.messages(system), ...body };
  const start = performance.now();
  const seconds = () => (performance.now() - start) / 1000;
  const options = {
    json,
    signal,
    onresponse: ({ headers }) => {
      turn.requestId = headers.get("x-request-id");
      turn.cost = headers.get("x-triptych-cost-usd");
    },
  };
  try {
    if (isStreamed) await streamReply(options, turn, seconds, onchange);
    else await nonStreamingReply(options, turn);
  } finally {
    turn.took = seconds();
  }
}

async function streamReply(options, turn, seconds, onchange) {
  const json = { ...options.json, stream: true, stream_options: { include_usage: true } };
  for await (const { data } of stream(PATH, { ...options, json })) {
    if (data.model) turn.model = data.model;
    if (data.usage) Object.assign(turn, { usage: data.usage, cost: data.usage.cost });
    const choice = data.choices?.[0];
    if (!choice) continue;
    if (addDelta(turn, choice.delta ?? {})) turn.firstAfter ??= seconds();
    if (choice.finish_reason) turn.finish = choice.finish_reason;
    onchange();
  }
}

async function nonStreamingReply(options, turn) {
  const { model, usage, choices } = await requestJson(PATH, options);
  const { message, finish_reason: finish } = choices[0];
  const calls = (message.tool_calls ?? []).map((call, index) => ({ index, ...call }));
  addDelta(turn, { ...message, tool_calls: calls });
  Object.assign(turn, { model, usage, finish });
}

/// Adds a part of a message to the turn, and returns whether it has content.
function addDelta(turn, { content, refusal, reasoning_content: reasoning, tool_calls: calls = [] }) {
  turn.text += content ?? refusal ?? "";
  turn.reasoning += reasoning ?? "";
  for (const { index, id, function: part = {} } of calls ?? []) {
    turn.toolCalls[index] ??= { id: "", name: "", arguments: "" };
    const call = turn.toolCalls[index];
    call.id ||= id ?? "";
    call.name += part.name ?? "";
    call.arguments += part.arguments ?? "";
  }
  return Boolean(content || refusal || reasoning || calls?.length);
}
