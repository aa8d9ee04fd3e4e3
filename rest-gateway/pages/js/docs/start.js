// The introduction to the REST API: base URL, headers, errors, streams.
import { url } from "../api.js";
import { h } from "../dom.js";
import { codeBlock, copyButton } from "../ui/copy.js";

const ERROR = `{
  "error": {
    "message": "n: must be from 1 to 128, not 0",
    "type": "invalid_request_error",
    "param": "n",
    "code": "invalid_field"
  }
}`;

const HEADERS = [
  ["authorization", "docs.header.authorization"],
  ["x-request-id", "docs.header.requestId"],
  ["x-request-timeout-ms", "docs.header.timeout"],
  ["idempotency-key", "docs.header.idempotency"],
  ["x-triptych-on-disconnect", "docs.header.disconnect"],
  ["retry-after, retry-after-ms", "docs.header.retryAfter"],
  ["x-should-retry", "docs.header.shouldRetry"],
  ["x-triptych-cost-usd", "docs.header.cost"],
];

/// Returns the elements of the introduction. The first one is the heading.
export function startView() {
  const base = url("v1");
  return [
    h("h2", { id: "docs-title", tabindex: "-1", t: "docs.start.title" }),
    h("p", { t: "docs.start.text" }),
    h(
      "div",
      { class: "row" },
      h("span", { class: "small muted", t: "docs.baseUrl" }),
      h("code", { class: "endpoint-path" }, base),
      copyButton(() => base, { label: "docs.copyUrl" }),
    ),
    h(
      "p",
      { class: "row" },
      h("a", { class: "button", href: url("playground"), t: "docs.start.playground" }),
      h("a", { class: "button", href: url("./#snippets"), t: "docs.start.snippets" }),
      h("a", { class: "button", href: url("openapi.json"), t: "shell.openapi" }),
    ),
    h("h3", { t: "docs.start.headers" }),
    definitionList(HEADERS),
    h("h3", { t: "docs.start.errors" }),
    h("p", { t: "docs.start.errorText" }),
    codeBlock(ERROR),
    h("h3", { t: "docs.start.streams" }),
    h("p", { t: "docs.start.streamText" }),
  ];
}

/// Returns a list of codes with their meaning: `[codes, key of the text]`, where the codes are separated by commas.
export function definitionList(rows) {
  return h(
    "dl",
    { class: "card definitions" },
    rows.map(([codes, t]) => [
      h(
        "dt",
        {},
        codes.split(", ").map((code) => h("code", {}, code)),
      ),
      h("dd", { t }),
    ]),
  );
}
