// The texts of the code: a function for each tool and modality.

export const TOOLS = [
  { id: "curl", text: "curl" },
  { id: "python", text: "Python" },
  { id: "node", text: "Node.js" },
  { id: "grpcurl", text: "grpcurl" },
];

const PROMPTS = { chat: "Hello", image: "A lighthouse at sunset", video: "Slow pan over mountains" };

/// Returns the code. `host` is the host of the gateway, for the gRPC port.
export function snippet(tool, modality, { base, host, model, hasKey }) {
  return TEXTS[tool][modality]({
    base,
    host: host.includes(":") ? `[${host.replace(/[[\]]/g, "")}]` : host,
    model,
    hasKey,
  });
}

/// Returns an object as JSON, with a line for each member.
const json = (object) =>
  `{\n${Object.entries(object)
    .map(([name, value]) => `    ${JSON.stringify(name)}: ${JSON.stringify(value)}`)
    .join(",\n")}\n  }`;

const curlHeaders = (hasKey) =>
  `-H "Content-Type: application/json" \\\n${hasKey ? '  -H "Authorization: Bearer $KEY" \\\n' : ""}`;

const post =
  (path, body) =>
  ({ base, model, hasKey }) =>
    `curl ${base}/${path} \\\n  ${curlHeaders(hasKey)}  -d '${json({ model, ...body })}'`;

const python =
  (calls) =>
  ({ base, model, hasKey }) =>
    [
      hasKey && "import os",
      "from openai import OpenAI",
      "",
      `client = OpenAI(base_url="${base}", api_key=${hasKey ? 'os.environ["KEY"]' : '"unused"'})`,
      ...calls(model),
    ]
      .filter((line) => line !== false)
      .join("\n");

const node =
  (calls) =>
  ({ base, model, hasKey }) =>
    [
      'import OpenAI from "openai";',
      "",
      `const client = new OpenAI({ baseURL: "${base}", apiKey: ${hasKey ? "process.env.KEY" : '"unused"'} });`,
      ...calls(model),
    ].join("\n");

const grpc =
  (method, message) =>
  ({ host, model, hasKey }) =>
    `grpcurl -plaintext ${hasKey ? '-H "Authorization: Bearer $KEY" ' : ""}\\\n  -d '${JSON.stringify(message(model))}' \\\n  ${host}:50051 triptych.v1.${method}`;

const TEXTS = {
  curl: {
    chat: post("chat/completions", { stream: true, messages: [{ role: "user", content: PROMPTS.chat }] }),
    image: post("images/generations", { prompt: PROMPTS.image }),
    video: (values) =>
      `${post("videos", { prompt: PROMPTS.video })(values)}\n\n# Its progress, with the id of the response:\ncurl -N ${values.hasKey ? '-H "Authorization: Bearer $KEY" ' : ""}${values.base}/videos/ID/events`,
  },
  python: {
    chat: python((model) => [
      "stream = client.chat.completions.create(",
      `    model="${model}",`,
      `    messages=[{"role": "user", "content": "${PROMPTS.chat}"}],`,
      "    stream=True,",
      ")",
      "for chunk in stream:",
      '    print(chunk.choices[0].delta.content or "", end="", flush=True)',
    ]),
    image: python((model) => [
      `image = client.images.generate(model="${model}", prompt="${PROMPTS.image}")`,
      "print(image.data[0].url)",
    ]),
    video: python((model) => [
      `video = client.videos.create_and_poll(model="${model}", prompt="${PROMPTS.video}")`,
      'client.videos.download_content(video.id).write_to_file("video.mp4")',
    ]),
  },
  node: {
    chat: node((model) => [
      "const stream = await client.chat.completions.create({",
      `  model: "${model}",`,
      `  messages: [{ role: "user", content: "${PROMPTS.chat}" }],`,
      "  stream: true,",
      "});",
      'for await (const chunk of stream) process.stdout.write(chunk.choices[0]?.delta?.content ?? "");',
    ]),
    image: node((model) => [
      `const image = await client.images.generate({ model: "${model}", prompt: "${PROMPTS.image}" });`,
      "console.log(image.data[0].url);",
    ]),
    video: node((model) => [
      `let video = await client.videos.create({ model: "${model}", prompt: "${PROMPTS.video}" });`,
      'while (video.status === "queued" || video.status === "in_progress") {',
      "  await new Promise((resolve) => setTimeout(resolve, 2000));",
      "  video = await client.videos.retrieve(video.id);",
      "}",
      "console.log(video.status, video.video_url);",
    ]),
  },
  grpcurl: {
    chat: grpc("ChatService/StreamChat", (model) => ({
      chat: { model, messages: [{ role: "user", text: PROMPTS.chat }] },
    })),
    image: grpc("ImageService/GenerateImages", (model) => ({ image: { model, prompt: PROMPTS.image } })),
    video: grpc("VideoService/CreateVideo", (model) => ({ model, prompt: PROMPTS.video })),
  },
};
