// Reads JSON schemas: the type as text, the rules, and the schemas below.

/// Returns a schema with its reference resolved, the parts of `allOf` united, and `null` taken out of its types as `isNullable`.
export function normalize(api, value) {
  let schema = api.resolve(value);
  if (schema.allOf) {
    const { allOf, ...rest } = schema;
    schema = [...allOf.map((part) => normalize(api, part)), rest].reduce((united, part) => ({
      ...united,
      ...part,
      properties: { ...united.properties, ...part.properties },
      required: [...(united.required ?? []), ...(part.required ?? [])],
    }));
  }
  const choices = schema.oneOf ?? schema.anyOf;
  if (choices && schema.properties && choices.every(({ type, $ref }) => !type && !$ref)) {
    // They only say which of the members exclude or require each other.
    const { oneOf, anyOf, ...rest } = schema;
    schema = rest;
  } else if (choices) {
    const others = choices.filter((choice) => choice.type !== "null");
    const isNullable = others.length < choices.length;
    const { oneOf, anyOf, ...rest } = schema;
    if (others.length === 1) return { isNullable, ...normalize(api, others[0]), ...rest };
    return { ...rest, oneOf: others, isNullable };
  }
  if (Array.isArray(schema.type)) {
    const types = schema.type.filter((type) => type !== "null");
    return {
      ...schema,
      type: types.length === 1 ? types[0] : types,
      isNullable: types.length < schema.type.length,
    };
  }
  if (schema.enum?.includes(null)) {
    return { ...schema, enum: schema.enum.filter((value) => value !== null), isNullable: true };
  }
  return schema;
}

/// Returns the type of a normalized schema, such as `array of string or null`.
export function typeText(api, schema) {
  const text = plainType(api, schema);
  return schema.isNullable ? `${text} or null` : text;
}

function plainType(api, schema) {
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.oneOf)
    return [...new Set(schema.oneOf.map((choice) => plainType(api, normalize(api, choice))))].join(" or ");
  if (schema.type === "array") return `array of ${plainType(api, normalize(api, schema.items ?? {}))}`;
  if (schema.refName && schema.type === "object") return schema.refName;
  if (Array.isArray(schema.type)) return schema.type.join(" or ");
  if (schema.type) return schema.format ? `${schema.type} (${schema.format})` : schema.type;
  if (schema.properties) return "object";
  return schema.enum ? "string" : "any";
}

/// Returns the rules of a normalized schema as pairs of a key of a text and a value.
export function rules(schema) {
  const found = [];
  const add = (name, value) => value !== undefined && found.push([name, value]);
  if (schema.enum) add("docs.rule.enum", schema.enum.map((value) => JSON.stringify(value)).join(", "));
  if (schema.default !== undefined) add("docs.rule.default", JSON.stringify(schema.default));
  add("docs.rule.minimum", schema.minimum);
  add("docs.rule.maximum", schema.maximum);
  add("docs.rule.minLength", schema.minLength);
  add("docs.rule.maxLength", schema.maxLength);
  add("docs.rule.minItems", schema.minItems);
  add("docs.rule.maxItems", schema.maxItems);
  add("docs.rule.pattern", schema.pattern);
  if (schema.examples?.length > 0) add("docs.rule.example", JSON.stringify(schema.examples[0]));
  return found;
}

/// Returns the members of a normalized schema: `[name, schema, isRequired]`. Those of an array are those of its items. The schemas
/// are not normalized.
export function members(api, schema) {
  if (schema.type === "array") return members(api, normalize(api, schema.items ?? {}));
  const required = new Set(schema.required ?? []);
  const named = Object.entries(schema.properties ?? {}).map(([name, value]) => [name, value, required.has(name)]);
  if (typeof schema.additionalProperties === "object") named.push(["*", schema.additionalProperties, false]);
  return named;
}

/// Returns the alternatives of a normalized schema that have members, normalized; for arrays, those of its items.
export function alternatives(api, schema) {
  if (schema.type === "array") return alternatives(api, normalize(api, schema.items ?? {}));
  return (schema.oneOf ?? []).map((choice) => normalize(api, choice)).filter((choice) => isExpandable(api, choice));
}

/// Returns whether there is anything below a normalized schema.
export function isExpandable(api, schema) {
  return members(api, schema).length > 0 || alternatives(api, schema).length > 0;
}
