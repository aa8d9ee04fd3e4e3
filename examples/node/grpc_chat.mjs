// A conversation over gRPC, from the proto files alone. npm install @grpc/grpc-js @grpc/proto-loader

import { credentials, loadPackageDefinition } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const options = { includeDirs: [process.env.PROTO_PATH ?? "proto"], keepCase: true, longs: Number, enums: String, defaults: true };
const { triptych } = loadPackageDefinition(loadSync("triptych/v1/chat.proto", options));
const address = process.env.GRPC_ADDRESS ?? "127.0.0.1:50051";
const chat = new triptych.v1.ChatService(address, credentials.createInsecure());
const conversation = { messages: [{ role: "user", text: "What is AI?" }] };
const deadline = () => ({ deadline: Date.now() + 60_000 });

const reply = await new Promise((resolve, reject) => {
  chat.CreateChat({ chat: conversation }, deadline(), (error, reply) => (error ? reject(error) : resolve(reply)));
});
console.log(reply.choices[0].message.text);

for await (const piece of chat.StreamChat({ chat: conversation }, deadline())) {
  for (const choice of piece.choices) process.stdout.write(choice.delta?.content ?? "");
}
console.log();
chat.close();
