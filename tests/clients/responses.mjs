// The Responses API with OpenAI's current Node SDK, with the AI SDK, whose models of OpenAI use it by default, and with OpenAI's Agents
// SDK.

import assert from "node:assert/strict";
import { createOpenAI } from "@ai-sdk/openai";
import { Agent, OpenAIResponsesModel, run, setTracingDisabled, tool as agentTool } from "@openai/agents";
import { generateText, jsonSchema, Output, stepCountIs, streamText, tool } from "ai";
import OpenAI, { BadRequestError, NotFoundError } from "openai";

const base = process.env.TRIPTYCH_REST;
const model = "qwen3-next-80b-a3b-instruct";
const client = new OpenAI({ baseURL: `${base}/v1`, apiKey: "not-needed", maxRetries: 0 });
const provider = createOpenAI({ baseURL: `${base}/v1`, apiKey: "not-needed" });
// Traces would be sent to OpenAI.
setTracingDisabled(true);
const schema = {
  type: "object",
  properties: { name: { type: "string" }, length: { type: "integer" } },
  required: ["name", "length"],
  additionalProperties: false,
};

const tests = {
  async "text is returned, stored, read and deleted"() {
    const response = await client.responses.create({ model, input: "Hello" });
    assert.ok(response.output_text && response._request_id);
    assert.equal((await client.responses.retrieve(response.id)).output_text, response.output_text);
    const items = await client.responses.inputItems.list(response.id);
    assert.equal(items.data[0].content[0].text, "Hello");
    await client.responses.delete(response.id);
    await assert.rejects(client.responses.retrieve(response.id), NotFoundError);
  },

  async "text is streamed with the helper"() {
    const stream = client.responses.stream({ model, input: "Hello" });
    let text = "";
    stream.on("response.output_text.delta", (event) => (text += event.delta));
    const final = await stream.finalResponse();
    assert.equal(final.output_text, text);
  },

  async "function call makes the round trip"() {
    const tools = [{ type: "function", name: "measure", parameters: schema, strict: true }];
    const first = await client.responses.create({ model, input: "Measure a boat", tools, tool_choice: "required" });
    const call = first.output.find((item) => item.type === "function_call");
    assert.ok(JSON.parse(call.arguments).name);
    const output = { type: "function_call_output", call_id: call.call_id, output: "7 m" };
    const second = await client.responses.create({ model, input: [output], tools, previous_response_id: first.id });
    assert.ok(second.output_text);
  },

  async "stream of a background response is resumed"() {
    const stream = await client.responses.create({ model, input: "Write a long story", background: true, stream: true });
    let id, last;
    for await (const event of stream) {
      id ??= event.response.id;
      last = event.sequence_number;
      if (event.type === "response.output_text.delta") break;
    }
    const rest = await client.responses.retrieve(id, { stream: true, starting_after: last });
    const types = [];
    for await (const event of rest) types.push(event.type);
    assert.equal(types.at(-1), "response.completed");
    assert.equal((await client.responses.cancel(id)).status, "completed");
  },

  async "hosted tool that is not served is refused"() {
    const call = client.responses.create({ model, input: "Hi", tools: [{ type: "web_search" }] });
    await assert.rejects(call, (error) => error instanceof BadRequestError && error.message.includes("web_search"));
  },

  async "AI SDK: the default model generates and streams text"() {
    const { text, usage, providerMetadata } = await generateText({ model: provider(model), prompt: "Hello" });
    assert.ok(text && usage.totalTokens > 0);
    assert.match(providerMetadata.openai.responseId, /^resp_/);
    const streamed = streamText({ model: provider(model), prompt: "Hello" });
    let all = "";
    for await (const part of streamed.textStream) all += part;
    assert.equal(all, text);
    assert.equal(await streamed.finishReason, "stop");
  },

  async "AI SDK: a conversation refers to the items of earlier responses"() {
    const messages = [{ role: "user", content: "I am Ada." }];
    const first = await generateText({ model: provider(model), messages });
    messages.push(...first.response.messages, { role: "user", content: "Who am I?" });
    assert.ok((await generateText({ model: provider(model), messages })).text);
  },

  async "AI SDK: objects are generated"() {
    const output = Output.object({ schema: jsonSchema(schema) });
    const { output: boat } = await generateText({ model: provider(model), prompt: "Describe a boat", output });
    assert.equal(typeof boat.name, "string");
    assert.ok(Number.isInteger(boat.length));
  },

  async "AI SDK: a tool is called, and its result leads to the answer"() {
    const called = [];
    const measure = tool({
      inputSchema: jsonSchema(schema),
      execute: async (input) => {
        called.push(input.name);
        return "7 m";
      },
    });
    const { steps } = await generateText({
      model: provider(model),
      prompt: "Measure a boat",
      tools: { measure },
      prepareStep: ({ stepNumber }) => ({ toolChoice: stepNumber === 0 ? "required" : "none" }),
      stopWhen: stepCountIs(2),
    });
    assert.ok(called.length > 0);
    assert.ok(steps.at(-1).text);
  },

  async "agent answers, and streams"() {
    const agent = new Agent({ name: "Guide", instructions: "Be brief.", model: new OpenAIResponsesModel(client, model) });
    const result = await run(agent, "Hello");
    assert.ok(result.finalOutput && result.lastResponseId.startsWith("resp_"));
    const stream = await run(agent, "Hello", { stream: true });
    let text = "";
    for await (const chunk of stream.toTextStream()) text += chunk;
    await stream.completed;
    assert.equal(text, result.finalOutput);
  },

  async "agent calls a tool and goes on"() {
    const called = [];
    const weather = agentTool({
      name: "get_weather",
      description: "The weather in a city.",
      parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false },
      strict: true,
      execute: ({ city }) => {
        called.push(city);
        return "21 degrees";
      },
    });
    const agent = new Agent({
      name: "Guide",
      model: new OpenAIResponsesModel(client, model),
      modelSettings: { toolChoice: "required" },
      tools: [weather],
    });
    const result = await run(agent, "What is the weather in Paris?");
    assert.ok(called.length > 0 && result.finalOutput);
  },
};

const failed = [];
for (const [name, test] of Object.entries(tests)) {
  const start = performance.now();
  let verdict = "ok  ";
  try {
    await test();
  } catch (error) {
    console.error(error);
    failed.push(name);
    verdict = "FAIL";
  }
  console.log(`  ${verdict} ${name} (${((performance.now() - start) / 1000).toFixed(1)} s)`);
}
if (failed.length > 0) {
  console.error(`${failed.length} failed: ${failed.join("; ")}`);
  process.exit(1);
}
