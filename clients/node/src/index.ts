/** Typed gRPC client of Triptych, a gateway to chat, image and video generation. */

export { connect, type Client, type ConnectOptions, type Services } from "./client.js";
export { errorDetails, type ErrorDetails, type FieldViolation } from "./errors.js";
export type { WaitOptions, WatchOptions } from "./watch.js";
/** The messages, enums and services of the contract. */
export * as v1 from "./gen/v1.js";
