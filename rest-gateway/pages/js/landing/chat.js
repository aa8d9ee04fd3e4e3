// Tries chat: the reply appears as it is streamed.
import { stream } from "../api.js";
import { h } from "../dom.js";
import { number } from "../format.js";

export async function tryChat({ model, prompt, output, signal }) {
  const reply = h("p", { class: "try-reply", "aria-live": "polite" });
  output.append(reply);
  const json = {
    model: model.id,
    messages: [{ role: "user", content: prompt }],
    stream: true,
    stream_options: { include_usage: true },
  };
  for await (const { data } of stream("v1/chat/completions", { json, signal })) {
    const text = data.choices[0]?.delta?.content;
    if (text) reply.append(text);
    if (data.usage) output.append(usage(data.usage));
  }
}

function usage({ prompt_tokens: prompt, completion_tokens: completion }) {
  const values = { prompt: number(prompt), completion: number(completion) };
  return h("p", { class: "small muted numeric", t: ["overview.meta.tokens", values] });
}
