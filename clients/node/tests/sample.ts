// A call of every service except AdminService. tsc checks this file in strict mode, as it would check a program that uses the package.

import { connect, type Client, v1 } from "triptych-client";

async function callEveryService(client: Client): Promise<Record<string, string | undefined>> {
  const chat: v1.CreateChatResponse = await client.chat.createChat({
    chat: { messages: [{ role: "user", content: { case: "text", value: "Hello" } }] },
  });
  const text = chat.choices[0]?.message?.content;
  const { responseJson } = await client.response.createResponse({ requestJson: JSON.stringify({ input: "Hello" }) });
  const response: { status: string } = JSON.parse(responseJson);
  const images = await client.image.generateImages({ image: { prompt: "A lighthouse", size: "256x256" } });
  const key: string = images.pictures[0]?.mediaKey ?? "";
  const { media } = await client.media.getMedia({ key });
  const { models } = await client.model.listModels({ modality: v1.Modality.VIDEO });
  const create = { prompt: "Pan left", size: "64x64", durationSeconds: 1, idempotencyKey: "sample" };
  const { estimate } = await client.usage.estimateVideo({ video: create });
  const created = await client.video.createVideo(create);
  let first: v1.Video | undefined;
  for await (first of client.watchVideo(created.video?.id ?? "", { timeoutMs: 60_000 })) break;
  const video: v1.Video = await client.waitForVideo(created.video?.id ?? "", { timeoutMs: 60_000 });
  const { eventTypes } = await client.webhook.listWebhookEventTypes({});
  // @ts-expect-error: the field does not exist.
  void video.unknown;
  return {
    first: first?.id === video.id ? "same" : "another",
    chat: text?.case === "text" ? typeof text.value : text?.case,
    image: images.pictures[0]?.mediaType,
    media: media?.mediaType,
    model: models[0]?.id,
    response: response.status,
    usage: estimate?.size,
    video: v1.Video_State[video.state],
    webhook: eventTypes[0],
  };
}

const [address = "", apiKey = ""] = process.argv.slice(2);
const client = connect(address, { apiKey, defaultTimeoutMs: 60_000 });
console.log(JSON.stringify(await callEveryService(client)));
client.close();
