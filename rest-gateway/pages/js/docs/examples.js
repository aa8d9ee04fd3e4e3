// Examples of requests and responses.
import { members, normalize } from "./schema.js";

const PROMPT = "A lighthouse at sunset";
const VIDEO = { prompt: PROMPT, seconds: "4" };
const ENDPOINT = { url: "https://example.org/webhook", event_types: ["video.completed"] };

/// The bodies of requests, by operation. The schemas alone do not say which members make a typical call.
const BODIES = {
  createChatCompletion: { messages: [{ role: "user", content: "Hello" }] },
  createChatCompletionForEngine: { messages: [{ role: "user", content: "Hello" }] },
  createImage: { prompt: PROMPT, n: 1 },
  createVideo: VIDEO,
  createOpenRouterVideo: { prompt: PROMPT, duration: 4 },
  editVideo: { video: { id: "ID" }, prompt: "The same at night" },
  extendVideo: { video: { id: "ID" }, prompt: "The camera rises", seconds: "4" },
  remixVideo: { prompt: "The same in the rain" },
  estimateVideo: VIDEO,
  estimateImages: { prompt: PROMPT, n: 1 },
  createWebhookEndpoint: ENDPOINT,
  updateWebhookEndpoint: { enabled: false },
  testWebhookEndpoint: { event_type: "video.completed" },
};

/// The fields of forms, by operation, for calls that upload files.
const FORMS = {
  editImage: { image: "@picture.png", prompt: "Add a boat" },
};

/// Deeper members of examples are left out.
const MAX_DEPTH = 4;

/// Returns the code of a call with curl. `base` is the URL of the gateway with a slash at its end.
export function curl(api, operation, { base, hasKey }) {
  const path = operation.path.slice(1).replace(/\{(\w+)\}/g, (_, name) => name.toUpperCase());
  const lines = [`curl ${operation.method === "DELETE" ? "-X DELETE " : ""}${option(operation)}${base}${path}`];
  if (hasKey) lines.push('-H "Authorization: Bearer $KEY"');
  const form = FORMS[operation.id];
  if (form) {
    lines.push(...Object.entries(form).map(([name, value]) => `-F ${name}=${/\s/.test(value) ? `'${value}'` : value}`));
  } else if (operation.requestBody) {
    const schema = operation.requestBody.content["application/json"]?.schema;
    const body = BODIES[operation.id] ?? example(api, schema, { isRequiredOnly: true });
    lines.push('-H "Content-Type: application/json"', `-d '${JSON.stringify(body)}'`);
  } else if (operation.method === "POST") {
    lines[0] = lines[0].replace("curl ", "curl -X POST ");
  }
  return lines.join(" \\\n  ");
}

function option(operation) {
  if (operation.method === "HEAD") return "-I ";
  const types = Object.values(operation.responses).flatMap((response) => Object.keys(response.content ?? {}));
  if (types.length > 0 && types.every((type) => type === "text/event-stream")) return "-N ";
  return types.includes("video/mp4") ? "-o video.mp4 " : "";
}

/// Returns a value that fits a schema. It contains the required members only, or all.
export function example(api, value, { isRequiredOnly = false } = {}, depth = 0) {
  const schema = normalize(api, value ?? {});
  if (schema.examples?.length > 0) return schema.examples[0];
  if (schema.const !== undefined) return schema.const;
  if (schema.default !== undefined) return schema.default;
  if (schema.enum) return schema.enum[0];
  const next = (inner) => example(api, inner, { isRequiredOnly }, depth + 1);
  if (schema.oneOf) return next(schema.oneOf[0]);
  switch (Array.isArray(schema.type) ? schema.type[0] : schema.type) {
    case "array":
      return depth < MAX_DEPTH ? [next(schema.items)] : [];
    case "boolean":
      return false;
    case "integer":
    case "number":
      return schema.minimum ?? 0;
    case "string":
      return text(schema);
    default:
      if (depth >= MAX_DEPTH) return {};
      return Object.fromEntries(
        members(api, schema)
          .filter(([name, , isRequired]) => name !== "*" && (isRequired || !isRequiredOnly))
          .map(([name, inner]) => [name, next(inner)]),
      );
  }
}

function text({ format, contentEncoding }) {
  if (format === "date") return "2026-11-28";
  if (format === "uri") return "https://example.org/file";
  return contentEncoding === "base64" ? "aGVsbG8=" : "text";
}
