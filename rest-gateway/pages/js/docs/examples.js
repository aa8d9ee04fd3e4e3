// Examples of requests and responses.
import { members, normalize } from "./schema.js";

/// Operations whose example for curl is a form with a file instead of JSON.
const FORMS = ["editImage"];

/// Deeper members of examples are left out.
const MAX_DEPTH = 4;

/// Returns the code of a call with curl. `base` is the URL of the gateway with a slash at its end.
export function curl(api, operation, { base, hasKey }) {
  const path = operation.path.slice(1).replace(/\{(\w+)\}/g, (_, name) => name.toUpperCase());
  const lines = [`curl ${operation.method === "DELETE" ? "-X DELETE " : ""}${option(operation)}${base}${path}`];
  if (hasKey) lines.push('-H "Authorization: Bearer $KEY"');
  const content = operation.requestBody?.content ?? {};
  const form = FORMS.includes(operation.id) && content["multipart/form-data"];
  if (form) {
    const { properties } = normalize(api, form.schema);
    for (const [name, value] of Object.entries(contentExample(api, form))) {
      const text = properties[name].format === "binary" ? `@${value}` : value;
      lines.push(`-F ${name}=${/\s/.test(text) ? `'${text}'` : text}`);
    }
  } else if (content["application/json"]) {
    const body = contentExample(api, content["application/json"], { isRequiredOnly: true });
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

/// Returns the examples of a media type as pairs of a title, which may be missing, and a value.
export function contentExamples(api, { example: only, examples = {} }) {
  if (only !== undefined) return [[undefined, only]];
  return Object.values(examples).map((named) => {
    const { summary, value } = api.resolve(named);
    return [summary, value];
  });
}

/// Returns the first example of a media type. If it has none: a value that fits its schema.
export function contentExample(api, content, options) {
  const [first] = contentExamples(api, content);
  return first ? first[1] : example(api, content.schema, options);
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
