// The gRPC services.
import { url } from "../api.js";
import { h } from "../dom.js";
import { getKey } from "../key.js";
import { snippet } from "../landing/snippet_texts.js";
import { codeBlock } from "../ui/copy.js";
import { definitionList } from "./start.js";

/// The methods of each service, grouped by their effect: `[methods, kind, key of the effect]`.
const SERVICES = [
  [
    "ChatService",
    [
      ["CreateChat", "unary", "createChat"],
      ["StreamChat", "stream", "streamChat"],
    ],
  ],
  [
    "ResponseService",
    [
      ["CreateResponse", "unary", "createResponse"],
      ["StreamResponse", "stream", "streamResponse"],
      ["GetResponse, ListInputItems", "read", "getResponse"],
      ["ResumeResponse", "readStream", "resumeResponse"],
      ["CancelResponse", "idempotent", "cancelResponse"],
      ["DeleteResponse", "unary", "deleteResponse"],
    ],
  ],
  [
    "ImageService",
    [
      ["GenerateImages", "unary", "generateImages"],
      ["StreamImages", "stream", "streamImages"],
    ],
  ],
  [
    "VideoService",
    [
      ["CreateVideo, EditVideo, ExtendVideo, RemixVideo", "unary", "createVideo"],
      ["GetVideo, GetVideoHistory, ListVideos", "read", "getVideo"],
      ["WatchVideo", "readStream", "watchVideo"],
      ["DownloadVideo", "readStream", "downloadVideo"],
      ["CancelVideo", "idempotent", "cancelVideo"],
      ["DeleteVideo", "unary", "deleteVideo"],
    ],
  ],
  ["ModelService", [["ListModels, GetModel", "read", "listModels"]]],
  [
    "MediaService",
    [
      ["GetMedia", "read", "getMedia"],
      ["ReadMedia", "readStream", "readMedia"],
    ],
  ],
  [
    "UsageService",
    [
      ["ListUsage, ListBudgets", "read", "listUsage"],
      ["EstimateVideo, EstimateImages", "read", "estimate"],
    ],
  ],
  [
    "WebhookService",
    [
      ["CreateWebhookEndpoint, RotateWebhookSecret", "unary", "createWebhook"],
      ["GetWebhookEndpoint, ListWebhookEndpoints, ListWebhookDeliveries, ListWebhookEventTypes", "read", "getWebhook"],
      ["UpdateWebhookEndpoint", "idempotent", "updateWebhook"],
      ["DeleteWebhookEndpoint, TestWebhookEndpoint, RedeliverWebhook", "unary", "testWebhook"],
    ],
  ],
  [
    "AdminService",
    [
      ["CreateKey, RotateKey", "unary", "createKey"],
      ["GetKey, ListKeys", "read", "getKey"],
      ["UpdateKey, RevokeKey", "idempotent", "updateKey"],
      ["VerifyLedger, ListHolds", "read", "verifyLedger"],
      ["ResolveHold", "unary", "resolveHold"],
    ],
  ],
];

const METADATA = [
  ["authorization", "docs.header.authorization"],
  ["grpc-timeout", "docs.grpc.meta.timeout"],
  ["x-request-id", "docs.header.requestId"],
  ["traceparent, tracestate", "docs.grpc.meta.trace"],
  ["x-session-id", "docs.grpc.meta.session"],
  ["x-triptych-on-disconnect", "docs.header.disconnect"],
  ["x-triptych-attempts", "docs.grpc.meta.attempts"],
  ["x-triptych-cost-usd", "docs.header.cost"],
  ["grpc-retry-pushback-ms", "docs.grpc.meta.pushback"],
  ["grpc-status-details-bin", "docs.grpc.meta.details"],
];

const DETAILS = [
  ["google.rpc.ErrorInfo", "docs.grpc.error.info"],
  ["google.rpc.BadRequest", "docs.grpc.error.badRequest"],
  ["google.rpc.RetryInfo", "docs.grpc.error.retryInfo"],
  ["google.rpc.QuotaFailure", "docs.grpc.error.quota"],
];

const ERROR = `ERROR:
  Code: InvalidArgument
  Message: n: must be from 1 to 128, not 0
  Details:
  1)  {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "domain": "triptych",
        "reason": "INVALID_FIELD"
      }
  2)  {
        "@type": "type.googleapis.com/google.rpc.BadRequest",
        "fieldViolations": [
          { "description": "must be from 1 to 128, not 0", "field": "n" }
        ]
      }`;

/// The sections, which are also ids in the URL: `[id, key of the title]`.
export const GRPC_SECTIONS = ["", "-examples", "-reflection", "-deadlines", "-metadata", "-errors"].map((part) => [
  `grpc${part}`,
  `docs.grpc.title${part || "-services"}`,
]);

const CONTENTS = {
  grpc: services,
  "grpc-examples": examples,
  "grpc-reflection": reflection,
  "grpc-deadlines": () => list("docs.grpc.deadlines", 5),
  "grpc-metadata": () => [definitionList(METADATA), h("p", { class: "small muted", t: "docs.grpc.idempotency" })],
  "grpc-errors": () => [h("p", { t: "docs.grpc.errorText" }), definitionList(DETAILS), codeBlock(ERROR)],
};

/// Returns the elements of the page on gRPC: a heading with an id for each section.
export function grpcView() {
  return [
    h("h2", { id: "docs-title", tabindex: "-1", t: "docs.grpc" }),
    h("p", { t: ["docs.grpc.text", { target: target() }] }),
    GRPC_SECTIONS.map(([id, title]) =>
      h("section", { class: "stack" }, h("h3", { id: `section-${id}`, tabindex: "-1", t: title }), CONTENTS[id]()),
    ),
  ];
}

/// Returns the host of this gateway with the default port of gRPC: the page does not know the port.
function target() {
  return `${location.hostname}:50051`;
}

function services() {
  return SERVICES.map(([service, methods]) =>
    h(
      "div",
      { class: "card card-body" },
      h("h4", { class: "mono" }, `triptych.v1.${service}`),
      h(
        "dl",
        { class: "definitions" },
        methods.map(([names, kind, effect]) => [
          h(
            "dt",
            {},
            names.split(", ").map((name) => h("code", {}, name)),
            h("span", { class: "member-type", t: `docs.grpc.kind.${kind}` }),
          ),
          h("dd", { t: `docs.grpc.effect.${effect}` }),
        ]),
      ),
    ),
  );
}

function examples() {
  const values = { base: url("v1"), host: location.hostname, model: undefined, hasKey: Boolean(getKey()) };
  return ["chat", "image", "video"].map((modality) => [
    h("h4", { t: `modality.${modality}` }),
    codeBlock(snippet("grpcurl", modality, values)),
  ]);
}

function reflection() {
  const calls = ["list", "describe triptych.v1.VideoService"].map((call) => `grpcurl -plaintext ${target()} ${call}`);
  return [
    h("p", { t: "docs.grpc.reflection" }),
    codeBlock(calls.join("\n")),
    h("p", { t: "docs.grpc.noReflection" }),
    codeBlock(
      `grpcurl -plaintext -import-path proto -proto triptych/v1/chat.proto \\\n  ${target()} describe triptych.v1.ChatService`,
    ),
  ];
}

function list(key, count) {
  return h(
    "ul",
    {},
    Array.from({ length: count }, (_, index) => h("li", { t: `${key}.${index + 1}` })),
  );
}
