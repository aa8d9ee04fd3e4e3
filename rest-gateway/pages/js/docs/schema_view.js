// Shows schemas as lists of members, which are expanded on demand.
import { h } from "../dom.js";
import { prose } from "./prose.js";
import { alternatives, isExpandable, members, normalize, rules, typeText } from "./schema.js";

/// The marks of members that must be present, and of those that may be absent: keys of texts.
const MARKS = {
  request: { required: "docs.required" },
  response: { optional: "docs.optional" },
};

/// Returns a view of a schema: its type and description, and its members. `direction` is `request` or `response`.
export function schemaView(api, value, direction = "request") {
  const marks = MARKS[direction];
  const schema = normalize(api, value);
  return h(
    "div",
    { class: "schema" },
    h("p", { class: "member-type" }, typeText(api, schema)),
    schema.description && prose(schema.description),
    ruleList(schema),
    below(api, schema, marks),
  );
}

/// Returns a list of named schemas, `[name, schema, isRequired, description]`, such as members or parameters.
export function memberList(api, list, marks = MARKS.request) {
  return h(
    "ul",
    { class: "members", role: "list" },
    list.map((member) => memberItem(api, marks, ...member)),
  );
}

function memberItem(api, marks, name, value, isRequired, description) {
  const schema = normalize(api, value);
  const text = description ?? schema.description;
  return h(
    "li",
    { class: "member" },
    h(
      "p",
      { class: "member-head" },
      name === "*"
        ? h("span", { class: "member-name", t: "docs.otherMembers" })
        : h("code", { class: "member-name" }, name),
      h("span", { class: "member-type" }, typeText(api, schema)),
      isRequired && marks.required && h("span", { class: "member-required", t: marks.required }),
      !isRequired && marks.optional && h("span", { class: "member-optional", t: marks.optional }),
    ),
    text && prose(text),
    ruleList(schema),
    isExpandable(api, schema) && expander(api, name, schema, marks),
  );
}

function ruleList(schema) {
  const list = rules(schema);
  return (
    list.length > 0 &&
    h(
      "p",
      { class: "member-rules" },
      list.map(([t, value]) => h("span", {}, h("span", { t }), " ", h("code", {}, String(value)))),
    )
  );
}

/// Returns a closed element with what is below a schema. It is built when it is opened first: recursive schemas have no end.
function expander(api, name, schema, marks) {
  const details = h(
    "details",
    { class: "expander" },
    h("summary", {}, h("span", { t: "docs.members" }), h("span", { class: "visually-hidden" }, `: ${name}`)),
  );
  details.addEventListener("toggle", () => details.append(below(api, schema, marks)), { once: true });
  return details;
}

function below(api, schema, marks) {
  const list = members(api, schema);
  if (list.length > 0) return memberList(api, list, marks);
  const choices = alternatives(api, schema);
  return h(
    "div",
    { class: "alternatives" },
    choices.map((choice) =>
      h(
        "div",
        {},
        choices.length > 1 && h("p", { class: "member-type" }, typeText(api, choice)),
        choice.description && prose(choice.description),
        below(api, choice, marks),
      ),
    ),
  );
}
