// Shows an operation of the REST API.
import { url } from "../api.js";
import { h } from "../dom.js";
import { getKey } from "../key.js";
import { codeBlock, copyButton } from "../ui/copy.js";
import { tabs } from "../ui/tabs.js";
import { contentExamples, curl, example } from "./examples.js";
import { inline, prose } from "./prose.js";
import { memberList, schemaView } from "./schema_view.js";

/// Pages on which an operation can be tried.
const PAGES = {
  createChatCompletion: "playground#chat",
  createImage: "playground#images",
  editImage: "playground#images",
  createVideo: "playground#videos",
  estimateVideo: "playground#videos",
  editVideo: "playground#videos",
  extendVideo: "playground#videos",
  remixVideo: "playground#videos",
  listVideos: "jobs",
  getVideo: "jobs",
  streamVideoEvents: "jobs",
  cancelVideo: "jobs",
  listUsage: "usage",
  listBudgets: "usage",
};

const PLACES = ["path", "query", "header"];

/// Returns the elements of an operation. The first one is the heading.
export function operationView(api, operation) {
  const { id, method, path, summary, description, parameters, requestBody, responses } = operation;
  return [
    h("h2", { id: "docs-title", tabindex: "-1", lang: "en" }, summary),
    h(
      "div",
      { class: "endpoint" },
      methodBadge(method),
      h("code", { class: "endpoint-path" }, path),
      copyButton(() => url(path.slice(1)), { label: "docs.copyUrl" }),
      PAGES[id] && h("a", { class: "button button-small endpoint-try", href: url(PAGES[id]), t: "docs.tryIt" }),
    ),
    description && prose(description),
    codeBlock(curl(api, operation, { base: url("./"), hasKey: Boolean(getKey()) }), { label: "docs.curl" }),
    !getKey() && path.startsWith("/v1") && h("p", { class: "small muted", t: "docs.curlKey" }),
    PLACES.map((place) => parameterList(api, place, parameters)),
    requestBody && bodySection(api, "docs.body", requestBody.content),
    h("h3", { t: "docs.responses" }),
    Object.entries(responses).map(([status, response], index) => responseItem(api, status, response, index === 0)),
  ];
}

/// Returns the method of an operation as a label.
export function methodBadge(method) {
  return h("span", { class: `method method-${method.toLowerCase()}` }, method);
}

function parameterList(api, place, parameters) {
  const list = parameters.filter((parameter) => parameter.in === place);
  if (list.length === 0) return null;
  const rows = list.map(({ name, schema, required, description }) => [
    name,
    schema ?? {},
    Boolean(required),
    description,
  ]);
  return h("section", {}, h("h3", { t: `docs.parameters.${place}` }), memberList(api, rows));
}

function bodySection(api, title, content) {
  return h("section", {}, h("h3", { t: title }), contentView(api, content, "request"));
}

/// Returns the schema for each media type.
function contentView(api, content, direction) {
  const types = Object.keys(content);
  const view = (type) => {
    const { schema = {} } = content[type];
    const examples = contentExamples(api, content[type]);
    // A response, such as an error, without an example of its own.
    if (examples.length === 0 && direction === "response" && type === "application/json") {
      examples.push([undefined, example(api, schema)]);
    }
    return [schemaView(api, schema, direction), ...examples.map((named) => exampleItem(...named))];
  };
  if (types.length === 1) return [h("p", { class: "media-type mono" }, types[0]), view(types[0])];
  const { list, panel } = tabs({
    label: "docs.mediaTypes",
    tabs: types.map((type) => ({ id: type, text: type })),
    onselect: (type, panel) => panel.replaceChildren(...view(type).filter(Boolean)),
  });
  return [list, panel];
}

function exampleItem(title, value) {
  const summary = h("summary", {}, h("span", { t: "docs.example" }), title && [": ", inline(title)]);
  const details = h("details", { class: "expander" }, summary);
  const text = () => (typeof value === "string" ? value : JSON.stringify(value, null, 2));
  details.addEventListener("toggle", () => details.append(codeBlock(text(), { label: "docs.example" })), {
    once: true,
  });
  return details;
}

function responseItem(api, status, value, isOpen) {
  const response = api.resolve(value);
  const headers = Object.entries(response.headers ?? {}).map(([name, header]) => {
    const { schema = {}, description } = api.resolve(header);
    return [name, schema, false, description];
  });
  const details = h(
    "details",
    { class: "card response", open: isOpen },
    h(
      "summary",
      {},
      h("span", { class: `status status-${status[0]}` }, status),
      h("span", { lang: "en" }, inline(response.description)),
    ),
  );
  const fill = () => {
    if (details.childElementCount > 1) return;
    details.append(
      h(
        "div",
        { class: "response-body" },
        response.content && contentView(api, response.content, "response"),
        headers.length > 0 && [h("h4", { t: "docs.headers" }), memberList(api, headers)],
        !response.content && headers.length === 0 && h("p", { class: "muted small", t: "docs.noBody" }),
      ),
    );
  };
  if (isOpen) fill();
  details.addEventListener("toggle", fill);
  return details;
}
