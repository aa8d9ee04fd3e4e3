// A chat completion over gRPC, with the proto files loaded at run time. npm install @grpc/grpc-js @grpc/proto-loader

import { credentials, loadPackageDefinition } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const options = { includeDirs: [process.env.PROTO_PATH ?? "proto"], keepCase: true, longs: Number, enums: String, defaults: true };
const { triptych } = loadPackageDefinition(loadSync("triptych/v1/chat.proto", options));
const address = process.env.GRPC_ADDRESS ?? "127.0.0.1:50051";
const chat = new triptych.v1.ChatService(address, credentials.createInsecure());
const request = { messages: [{ role: "user", text: "What is AI?" }] };
const deadline = () => ({ deadline: Date.now() + 60_000 });

const response = await new Promise((resolve, reject) => {
  chat.CreateChat({ chat: request }, deadline(), (error, response) => (error ? reject(error) : resolve(response)));
});
console.log(response.choices[0].message.text);

for await (const chunk of chat.StreamChat({ chat: request }, deadline())) {
  for (const choice of chunk.choices) process.stdout.write(choice.delta?.content ?? "");
}
console.log();
chat.close();
