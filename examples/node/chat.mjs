// A chat completion with OpenAI's SDK, non-streaming and streaming. npm install openai

import OpenAI from "openai";

const client = new OpenAI({
  baseURL: process.env.OPENAI_BASE_URL ?? "http://127.0.0.1:8000/v1",
  apiKey: "not-needed",
});
const model = "qwen3-next-80b-a3b-instruct";
const messages = [{ role: "user", content: "What is AI?" }];

const response = await client.chat.completions.create({ model, messages });
console.log(response.choices[0].message.content);

const stream = await client.chat.completions.create({ model, messages, stream: true });
for await (const chunk of stream) process.stdout.write(chunk.choices[0].delta.content ?? "");
console.log();
