// The OpenAPI document: its operations, and its references.
import { requestJson } from "../api.js";

const METHODS = ["get", "post", "put", "patch", "delete", "head"];
/// The longest chain of references, which ends a circle of references if the document had one.
const MAX_REFERENCES = 16;

/// Reads the document of this gateway.
export async function loadDocument() {
  return new ApiDocument(await requestJson("openapi.json", { askKey: false }));
}

/// An OpenAPI document.
export class ApiDocument {
  #document;

  constructor(document) {
    this.#document = document;
    /// The operations: `{ id, method, path, tag, summary, description, parameters, requestBody, responses }`.
    this.operations = Object.entries(document.paths).flatMap(([path, item]) =>
      METHODS.filter((method) => item[method]).map((method) => this.#operation(path, method, item)),
    );
    /// The names of the groups of operations.
    this.tags = document.tags.map(({ name }) => name);
  }

  #operation(path, method, item) {
    const { operationId, tags, summary = operationId, description = "", ...rest } = item[method];
    return {
      id: operationId,
      method: method.toUpperCase(),
      path,
      tag: tags[0],
      summary,
      description,
      parameters: [...(item.parameters ?? []), ...(rest.parameters ?? [])].map((parameter) => this.resolve(parameter)),
      requestBody: rest.requestBody && this.resolve(rest.requestBody),
      responses: rest.responses,
    };
  }

  /// Returns an object, or the target of its `$ref`. Members beside `$ref`, such as a description, replace those of the target, and
  /// `refName` is the name of a schema. References below it are not resolved, because schemas can be recursive.
  resolve(value) {
    let current = value;
    for (let count = 0; current?.$ref && count < MAX_REFERENCES; count += 1) {
      const { $ref, ...beside } = current;
      const path = $ref
        .split("/")
        .slice(1)
        .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
      const target = path.reduce((node, part) => node?.[part], this.#document);
      const isSchema = path[0] === "components" && path[1] === "schemas";
      current = { ...target, ...(isSchema ? { refName: path.at(-1) } : {}), ...beside };
    }
    return current ?? {};
  }
}
