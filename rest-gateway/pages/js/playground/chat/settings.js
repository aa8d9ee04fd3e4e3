// The parameters of chat calls.
import { h } from "../../dom.js";
import { jsonField, labelledControl } from "../shared/controls.js";
import { modelField } from "../shared/models.js";
import { load, save } from "../shared/session.js";
import { openWhenWide } from "../shared/wide.js";

const SCHEMA_EXAMPLE = `{
  "type": "object",
  "properties": { "title": { "type": "string" } },
  "required": ["title"],
  "additionalProperties": false
}`;

const TOOLS_EXAMPLE = `[{
  "type": "function",
  "function": {
    "name": "get_weather",
    "parameters": {
      "type": "object",
      "properties": { "city": { "type": "string" } },
      "required": ["city"]
    }
  }
}]`;

/// Returns `{ element, parameters() }`. `parameters()` is `{ model, system, isStreamed, body }` for the next call, or null if a field
/// is invalid, which then has the focus.
export function chatSettings() {
  const stored = load("chat-settings", {});
  const model = modelField("chat", { onchange: store });
  const system = h("textarea", {
    class: "textarea",
    rows: "3",
    value: stored.system ?? "",
    tAttrs: { placeholder: "chat.system.placeholder" },
  });
  const temperature = numberInput({ min: "0", max: "2", step: "0.1", value: stored.temperature });
  const maxTokens = numberInput({ min: "1", step: "1", value: stored.maxTokens });
  const isStreamed = h("input", { type: "checkbox", checked: stored.isStreamed ?? true });
  const schema = jsonField("chat.schema", {
    hint: "chat.schema.hint",
    placeholder: SCHEMA_EXAMPLE,
    rows: 7,
    check: (value) => (isObject(value) ? null : "chat.schema.object"),
  });
  const tools = jsonField("chat.tools", {
    hint: "chat.tools.hint",
    placeholder: TOOLS_EXAMPLE,
    rows: 10,
    check: (value) =>
      Array.isArray(value) && value.every((tool) => isObject(tool) && typeof tool.type === "string")
        ? null
        : "chat.tools.list",
  });
  schema.area.value = stored.schema ?? "";
  tools.area.value = stored.tools ?? "";
  model.set(stored.model);

  function store() {
    save("chat-settings", {
      model: model.name(),
      system: system.value,
      temperature: temperature.value,
      maxTokens: maxTokens.value,
      isStreamed: isStreamed.checked,
      schema: schema.area.value,
      tools: tools.area.value,
    });
  }

  function parameters() {
    const invalid = [temperature, maxTokens].find((input) => !input.checkValidity());
    const invalidJson = [schema, tools].find((json) => !json.validate());
    if (invalid || invalidJson) {
      element.open = true;
      if (invalid) {
        invalid.reportValidity();
      } else {
        invalidJson.element.closest(".disclosure").open = true;
        invalidJson.area.focus();
      }
      return null;
    }
    const format = schema.value();
    return {
      model: model.name(),
      system: system.value.trim(),
      isStreamed: isStreamed.checked,
      body: {
        ...(temperature.value ? { temperature: Number(temperature.value) } : {}),
        ...(maxTokens.value ? { max_tokens: Number(maxTokens.value) } : {}),
        ...(format ? { response_format: responseFormat(format) } : {}),
        ...(tools.value()?.length ? { tools: tools.value() } : {}),
      },
    };
  }

  const element = h(
    "details",
    { class: "card workbench-side", onchange: store },
    h("summary", { class: "workbench-summary" }, h("h2", { t: "chat.settings" })),
    h(
      "div",
      { class: "stack workbench-fields" },
      model.element,
      labelledControl("chat.system", system),
      h(
        "div",
        { class: "field-pair" },
        labelledControl("chat.temperature", temperature),
        labelledControl("chat.maxTokens", maxTokens),
      ),
      h("label", { class: "checkbox" }, isStreamed, h("span", { t: "chat.stream" })),
      disclosure("chat.tools.title", tools, stored.tools),
      disclosure("chat.schema.title", schema, stored.schema),
    ),
  );
  openWhenWide(element);
  return { element, parameters };
}

function numberInput(attributes) {
  return h("input", {
    class: "input",
    type: "number",
    inputmode: "decimal",
    tAttrs: { placeholder: "chat.modelDefault" },
    ...attributes,
    value: attributes.value ?? "",
  });
}

function disclosure(title, { element }, isUsed) {
  return h("details", { class: "disclosure", open: Boolean(isUsed) }, h("summary", { t: title }), element);
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/// A schema alone is wrapped; a complete `response_format` is sent as it is.
function responseFormat(value) {
  if (["json_schema", "json_object", "text"].includes(value.type)) return value;
  return { type: "json_schema", json_schema: { name: "response", schema: value, strict: true } };
}
