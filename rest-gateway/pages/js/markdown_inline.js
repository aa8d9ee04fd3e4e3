// Markdown within a line: code, emphasis, links, and escaped characters.
import { h } from "./dom.js";

/// Longer texts are shown without formatting: the patterns may need time that grows with the square of the length.
const MAX_LENGTH = 20_000;

/// Nested emphasis beyond this is shown without formatting.
const MAX_DEPTH = 6;

const URL_TEXT = /(?<![\p{L}\p{N}])https?:\/\/[^\s<>"'`\]，。；：！？、（）「」]+/u;

/// The constructs, in the order in which they are tried at each place. Each returns the node of a match.
const CONSTRUCTS = [
  ["escape", /\\([!-/:-@[-`{-~])/, ([, character]) => character],
  ["code", /(?<!`)(`+)(?!`)([\s\S]*?[^`])\1(?!`)/, ([, , code]) => h("code", { class: "code-inline" }, trimmed(code))],
  [
    "link",
    /!?\[((?:[^[\]\\]|\\.)*)\]\(\s{0,9}<?([^\s()<>]*(?:\([^\s()]*\)[^\s()<>]*)*)>?(?:\s{1,9}"[^"]*")?\s{0,9}\)/,
    linkNode,
  ],
  ["autolink", /<((?:https?:\/\/|mailto:)[^\s<>]+)>/, ([whole, target]) => link(target, [target]) ?? whole],
  ["url", URL_TEXT, bareUrl],
  ["strong", /(\*\*|__)(?=\S)([\s\S]*?\S)\1/, ([, , text], depth) => h("strong", {}, nodes(text, depth + 1))],
  ["deleted", /~~(?=\S)([\s\S]*?\S)~~/, ([, text], depth) => h("del", {}, nodes(text, depth + 1))],
  ["star", /\*(?![\s*])([^*]*[^\s*])\*(?!\*)/, ([, text], depth) => h("em", {}, nodes(text, depth + 1))],
  [
    "underscore",
    /(?<![\p{L}\p{N}_])_(?![\s_])([^_]*[^\s_])_(?![\p{L}\p{N}_])/u,
    ([, text], depth) => h("em", {}, nodes(text, depth + 1)),
  ],
  ["break", /(?:(?<! ) {2,}|\\)\n/, () => h("br")],
];

/// Returns the nodes of a text without blocks.
export function inline(text) {
  return text.length > MAX_LENGTH ? [text] : nodes(text, 0);
}

function nodes(text, depth) {
  if (depth > MAX_DEPTH) return [text];
  const result = [];
  // The next match of each construct. It stays valid until the text before it is consumed.
  const next = new Map();
  let at = 0;
  while (at < text.length) {
    let first = null;
    for (const [name, pattern, node] of CONSTRUCTS) {
      let found = next.get(name);
      if (found === undefined || (found && found.index < at)) {
        const global = new RegExp(pattern.source, `g${pattern.flags}`);
        global.lastIndex = at;
        found = global.exec(text);
        next.set(name, found);
      }
      if (found && (!first || found.index < first.match.index)) first = { match: found, node };
    }
    if (!first) break;
    const { match, node } = first;
    if (match.index > at) result.push(text.slice(at, match.index));
    result.push(node(match, depth));
    at = match.index + match[0].length;
  }
  if (at < text.length) result.push(text.slice(at));
  return result;
}

/// Removes one space at both ends, which separates backquotes in the code from those around it.
function trimmed(code) {
  return /^ .*[^ ].* $/s.test(code) ? code.slice(1, -1) : code;
}

/// Returns the node of a link. A picture becomes a link as well: to load it would reveal the reader's address to its server.
function linkNode([whole, text, target], depth) {
  return link(target, nodes(text || target, depth + 1)) ?? whole;
}

function bareUrl([found]) {
  const end = /[.,;:!?*_)]+$/.exec(found);
  const isOpened = found.includes("(") && found.endsWith(")");
  const target = end && !isOpened ? found.slice(0, end.index) : found;
  return [link(target, [target]), found.slice(target.length)].map((part) => part ?? target);
}

/// Returns a link, or null for a URL that is not absolute or has a scheme such as `javascript:`.
function link(target, content) {
  let parsed;
  try {
    parsed = new URL(target);
  } catch {
    return null;
  }
  if (!["http:", "https:", "mailto:"].includes(parsed.protocol)) return null;
  return h("a", { href: parsed.href, target: "_blank", rel: "noopener noreferrer" }, content);
}
