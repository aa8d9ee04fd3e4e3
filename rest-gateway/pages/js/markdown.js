// Renders Markdown as elements: paragraphs, headings, lists, quotes, code blocks, tables and rules. HTML in the text stays text.
import { h } from "./dom.js";
import { inline } from "./markdown_inline.js";
import { codeBlock } from "./ui/copy.js";

/// Quotes and lists that are nested deeper are shown as plain paragraphs, so that no text exhausts the stack.
const MAX_DEPTH = 8;

// No pattern has two neighbouring parts that match the same characters: a hostile text would make it slow.
const FENCE = /^ {0,3}(`{3,}(?!`)|~{3,}(?!~))([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})(?:[ \t](.*))?$/;
const RULE = /^ {0,3}([-*_])(?:\s*\1){2,}\s*$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])( +|$)/;
const SEPARATOR_CELL = /^:?-+:?$/;

/// Returns an element whose text can grow: `{ element, show(text) }`. Only the blocks that have changed are rendered again, so
/// that a selection in the others survives. Headings begin at `h4`, below those of the page and of the message.
export function markdownView() {
  const element = h("div", { class: "markdown" });
  let shown = [];
  const show = (text) => {
    const next = blocks(text.split("\n"));
    let same = 0;
    while (same < next.length && shown[same] === source(next[same])) same += 1;
    while (element.children.length > same) element.lastChild.remove();
    for (const block of next.slice(same)) element.append(render(block, 0));
    shown = next.map(source);
  };
  return { element, show };
}

function source({ type, lines }) {
  return `${type}\n${lines.join("\n")}`;
}

/// Splits lines into blocks, `{ type, lines, … }`.
function blocks(lines) {
  const result = [];
  let at = 0;
  while (at < lines.length) {
    if (lines[at].trim() === "") {
      at += 1;
      continue;
    }
    const block =
      fence(lines, at) ?? single(lines, at) ?? table(lines, at) ?? container(lines, at) ?? paragraph(lines, at);
    block.lines = lines.slice(at, block.end);
    at = block.end;
    result.push(block);
  }
  return result;
}

function fence(lines, at) {
  const open = FENCE.exec(lines[at]);
  if (!open) return null;
  const [, mark, info] = open;
  const isEnd = (line) => line.trim().startsWith(mark) && line.trim().replaceAll(mark[0], "") === "";
  let end = at + 1;
  while (end < lines.length && !isEnd(lines[end])) end += 1;
  const code = lines.slice(at + 1, end).join("\n");
  return { type: "code", code, language: info.trim().split(/\s/)[0], end: Math.min(end + 1, lines.length) };
}

function single(lines, at) {
  const heading = HEADING.exec(lines[at]);
  if (heading) return { type: "heading", level: heading[1].length, text: withoutMarks(heading[2] ?? ""), end: at + 1 };
  return RULE.test(lines[at]) ? { type: "rule", end: at + 1 } : null;
}

/// Removes the number signs that may close a heading.
function withoutMarks(text) {
  const trimmed = text.trim();
  let end = trimmed.length;
  while (trimmed[end - 1] === "#") end -= 1;
  return end === 0 || trimmed[end - 1] === " " ? trimmed.slice(0, end).trim() : trimmed;
}

function table(lines, at) {
  if (!lines[at].includes("|") || !lines[at + 1]?.includes("-")) return null;
  const separators = cells(lines[at + 1]);
  if (!separators.every((cell) => SEPARATOR_CELL.test(cell))) return null;
  const head = cells(lines[at]);
  if (separators.length !== head.length) return null;
  const alignments = separators.map((cell) => cell.endsWith(":"));
  let end = at + 2;
  while (end < lines.length && lines[end].includes("|")) end += 1;
  return { type: "table", head, alignments, rows: lines.slice(at + 2, end).map(cells), end };
}

function cells(line) {
  const inner = line
    .trim()
    .replace(/^\|/, "")
    .replace(/(?<!\\)\|$/, "");
  return inner.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));
}

/// Reads a quote or a list.
function container(lines, at) {
  if (QUOTE.test(lines[at])) {
    let end = at;
    while (end < lines.length && QUOTE.test(lines[end])) end += 1;
    return { type: "quote", inner: lines.slice(at, end).map((line) => line.replace(QUOTE, "")), end };
  }
  const first = ITEM.exec(lines[at]);
  if (!first) return null;
  const isOrdered = /\d/.test(first[2]);
  // Items that are indented further belong to a nested list.
  const deepest = first[1].length + 1;
  const items = [];
  let indent = 0;
  let end = at;
  for (; end < lines.length; end += 1) {
    const line = lines[end];
    const item = ITEM.exec(line);
    if (item && item[1].length <= deepest && /\d/.test(item[2]) === isOrdered && !RULE.test(line)) {
      indent = item[0].length;
      items.push([line.slice(indent)]);
    } else if (line.trim() === "") {
      let next = end + 1;
      while (next < lines.length && lines[next].trim() === "") next += 1;
      if (next === lines.length || !(/^ {2,}/.test(lines[next]) || ITEM.test(lines[next]))) break;
      items.at(-1).push("");
      end = next - 1;
    } else if (/^(?: {2,}|\t)/.test(line)) {
      items.at(-1).push(line.replace(new RegExp(`^(?: {1,${indent}}|\\t)`), ""));
    } else if (startsBlock(line) || lines[end - 1].trim() === "") {
      break;
    } else {
      items.at(-1).push(line);
    }
  }
  return { type: "list", isOrdered, start: Number.parseInt(first[2], 10), items, end };
}

function startsBlock(line) {
  return [FENCE, HEADING, RULE, QUOTE, ITEM].some((pattern) => pattern.test(line));
}

function paragraph(lines, at) {
  let end = at + 1;
  while (end < lines.length && lines[end].trim() !== "" && !startsBlock(lines[end]) && !table(lines, end)) end += 1;
  return { type: "paragraph", text: lines.slice(at, end).join("\n"), end };
}

function render(block, depth) {
  if (depth > MAX_DEPTH) return h("p", {}, block.lines.join("\n"));
  switch (block.type) {
    case "code": {
      const element = codeBlock(block.code);
      if (block.language) element.prepend(h("p", { class: "code-language" }, block.language));
      return element;
    }
    case "heading":
      return h(`h${Math.min(block.level + 3, 6)}`, {}, inline(block.text));
    case "rule":
      return h("hr");
    case "table":
      return renderTable(block);
    case "quote":
      return h("blockquote", {}, inner(block.inner, depth));
    case "list":
      return h(
        block.isOrdered ? "ol" : "ul",
        block.isOrdered && block.start !== 1 ? { start: block.start } : {},
        block.items.map((lines) => h("li", {}, tight(inner(lines, depth)))),
      );
    default:
      return h("p", {}, inline(block.text));
  }
}

function inner(lines, depth) {
  return blocks(lines).map((block) => render(block, depth + 1));
}

/// The only paragraph of an item, or its first before a nested list, needs no element of its own.
function tight(elements) {
  const [first, ...others] = elements;
  if (first?.tagName !== "P" || others.some(({ tagName }) => tagName === "P")) return elements;
  return [...first.childNodes, ...others];
}

function renderTable({ head, alignments, rows }) {
  const cell = (tag) => (text, column) => h(tag, { class: alignments[column] ? "numeric" : null }, inline(text));
  return h(
    "div",
    { class: "table-wrap" },
    h(
      "table",
      { class: "table" },
      h("thead", {}, h("tr", {}, head.map(cell("th")))),
      h(
        "tbody",
        {},
        rows.map((row) =>
          h(
            "tr",
            {},
            head.map((_, column) => cell("td")(row[column] ?? "", column)),
          ),
        ),
      ),
    ),
  );
}
