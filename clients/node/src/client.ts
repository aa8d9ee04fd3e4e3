import type { DescService } from "@bufbuild/protobuf";
import { createClient, type Client as ServiceClient, type Interceptor } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { createRequire } from "node:module";
import type { SecureClientSessionOptions } from "node:http2";
import * as v1 from "./gen/v1.js";
import { retry } from "./retry.js";
import { waitForVideo, watchVideo, type WaitOptions, type WatchOptions } from "./watch.js";

const { version } = createRequire(import.meta.url)("../package.json") as { version: string };

/** The server's default for `grpc.max_message_bytes`, which bounds the memory that one response can take. */
const MAX_MESSAGE_BYTES = 64 * 1024 * 1024;

/** Options of `connect`. */
export interface ConnectOptions {
  /** Sent as bearer token with each call. */
  apiKey?: string;
  /** True for a server with a public certificate, or options of Node's TLS. Absent: no TLS. */
  tls?: boolean | SecureClientSessionOptions;
  /** The deadline of calls without `timeoutMs`, in milliseconds. Absent: none. */
  defaultTimeoutMs?: number;
  /** Further interceptors; the first one is the outermost. */
  interceptors?: Interceptor[];
}

/** A client for each service of the contract: `chat` for ChatService. */
export type Services = {
  readonly [Name in keyof typeof v1 as Name extends `${infer Short}Service` ? Uncapitalize<Short> : never]: ServiceClient<
    Extract<(typeof v1)[Name], DescService>
  >;
};

/** All services over one connection, which is opened by the first call, and again after it broke. */
export interface Client extends Services {
  /**
   * Yields the current snapshot of a video, then one per change, the last one in a final state.
   *
   * A broken stream is resumed, also after a restart of the server: the first snapshot of a stream is the current one, so no
   * change of state is missed. Throws after `timeoutMs`, after `reconnectTimeoutMs` in which the server could not be reached,
   * and for errors that another attempt does not help.
   */
  watchVideo(id: string, options?: WatchOptions): AsyncGenerator<v1.Video, void, void>;
  /** Watches a video as `watchVideo` does, and returns its final snapshot: succeeded, failed or cancelled. */
  waitForVideo(id: string, options?: WaitOptions): Promise<v1.Video>;
  /** Closes the connection, and cancels all calls in flight. */
  close(): void;
}

/** Returns a client for the server at `target`, for example `127.0.0.1:50051`. */
export function connect(target: string, options: ConnectOptions = {}): Client {
  const baseUrl = `${options.tls ? "https" : "http"}://${target}`;
  // A watched video may send nothing for minutes. Pings keep the connection in the tables of proxies, and detect a dead server
  // within 40 s.
  const pings = { pingIntervalMs: 30_000, pingTimeoutMs: 10_000 };
  const sessionManager = new Http2SessionManager(baseUrl, pings, typeof options.tls === "object" ? options.tls : undefined);
  const transport = createGrpcTransport({
    baseUrl,
    sessionManager,
    interceptors: [...(options.interceptors ?? []), headers(options.apiKey), retry],
    readMaxBytes: MAX_MESSAGE_BYTES,
    ...(options.defaultTimeoutMs !== undefined && { defaultTimeoutMs: options.defaultTimeoutMs }),
  });
  const services = Object.values<unknown>(v1).filter(isService);
  const named = services.map((service) => [attributeOf(service), createClient(service, transport)] as const);
  const clients = Object.fromEntries(named) as unknown as Services;
  return {
    ...clients,
    watchVideo: (id, watchOptions) => watchVideo(clients.video, id, watchOptions),
    waitForVideo: (id, waitOptions) => waitForVideo(clients.video, id, waitOptions),
    close: () => sessionManager.abort(),
  };
}

function isService(value: unknown): value is DescService {
  return typeof value === "object" && value !== null && "kind" in value && value.kind === "service";
}

/** Returns the name of a service in `Services`. */
function attributeOf({ name }: DescService): string {
  return name.charAt(0).toLowerCase() + name.slice(1).replace(/Service$/, "");
}

/** Adds the API key and the name of this client to each call. */
function headers(apiKey: string | undefined): Interceptor {
  return (next) => (request) => {
    request.header.set("user-agent", `triptych-client/${version}`);
    if (apiKey !== undefined) request.header.set("authorization", `Bearer ${apiKey}`);
    return next(request);
  };
}
