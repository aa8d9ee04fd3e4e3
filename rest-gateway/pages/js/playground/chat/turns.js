// The turns of a conversation: messages of the user, replies, and results of tools.
import { h, replace } from "../../dom.js";
import { markdownView } from "../../markdown.js";
import { copyButton } from "../../ui/copy.js";
import { icon } from "../../ui/icons.js";
import { failureNotice } from "../shared/failure.js";
import { metaLine } from "./meta.js";
import { toolCalls } from "./tools.js";

/// Returns the element of a turn. That of a reply has the property `view`, whose `update(around)` shows what has arrived since.
///
/// `context`: `turns`, `index`, `isLast`, `isRunning()`, and the actions `run()` and `edit(index)`.
export function turnView(turn, context) {
  if (turn.role === "assistant") return replyView(turn, context);
  return turn.role === "tool" ? toolView(turn) : userView(turn, context);
}

function userView({ text, pictures }, { turns, index, isRunning, edit }) {
  const isLastOfUser = !turns.slice(index + 1).some(({ role }) => role === "user");
  return h(
    "li",
    { class: "turn turn-user" },
    h("h3", { class: "visually-hidden", t: "chat.role.user" }),
    h(
      "div",
      { class: "turn-bubble" },
      pictures.map((url, at) =>
        h("img", {
          class: "turn-picture",
          src: url,
          tAttrs: { alt: ["playground.pictures.alt", { index: at + 1 }] },
        }),
      ),
      text && h("p", { class: "turn-text" }, text),
    ),
    isLastOfUser &&
      !isRunning() &&
      h(
        "div",
        { class: "turn-actions" },
        h("button", {
          class: "button button-quiet button-small",
          type: "button",
          t: "chat.edit",
          onclick: () => edit(index),
        }),
      ),
  );
}

function replyView(turn, context) {
  const body = markdownView();
  const waiting = h(
    "p",
    { class: "turn-waiting small muted" },
    h("span", { class: "spinner" }),
    h("span", { t: "chat.status.waiting" }),
  );
  const reasoningText = h("p", { class: "turn-text" });
  const reasoning = h("details", { class: "reasoning" }, h("summary", { t: "chat.reasoning" }), reasoningText);
  const calls = h("div", { class: "stack" });
  const foot = h("div", { class: "turn-foot" });
  const element = h(
    "li",
    { class: "turn turn-reply" },
    h("h3", { class: "turn-author" }, h("span", { class: "mono" }, turn.model || "…")),
    reasoning,
    body.element,
    waiting,
    calls,
    foot,
  );
  let frame = 0;

  function show() {
    frame = 0;
    const isRunning = context.isLast && context.isRunning();
    element.setAttribute("aria-busy", String(isRunning));
    if (turn.model) element.querySelector(".turn-author span").textContent = turn.model;
    body.show(turn.text);
    reasoning.hidden = !turn.reasoning;
    reasoningText.textContent = turn.reasoning;
    waiting.hidden = !isRunning || Boolean(turn.text) || turn.toolCalls.length > 0;
    replace(calls, toolCalls(turn, { ...context, isRunning }));
    replace(foot, isRunning ? [] : footOf(turn, context));
  }

  element.view = {
    /// Shows the turn with the next frame, within `around(change)`: parts may arrive faster than the screen can show them.
    update: (around) => {
      frame ||= requestAnimationFrame(() => around(show));
    },
  };
  show();
  return element;
}

function footOf(turn, { isLast, run }) {
  return [
    turn.isStopped && h("p", { class: "small muted", t: "chat.stopped" }),
    turn.finish === "length" && h("p", { class: "notice notice-warn", t: "chat.finish.length" }),
    turn.finish === "content_filter" && h("p", { class: "notice notice-warn", t: "chat.finish.filter" }),
    turn.error && failureNotice(turn.error, isLast ? run : null),
    h(
      "div",
      { class: "turn-actions" },
      metaLine(turn),
      h("span", { class: "turn-spacer" }),
      turn.text && copyButton(() => turn.text, { label: "chat.copy" }),
      isLast &&
        h(
          "button",
          {
            class: "button button-quiet button-icon button-small",
            type: "button",
            tAttrs: { "aria-label": "chat.regenerate", title: "chat.regenerate" },
            onclick: () => run(),
          },
          icon("refresh"),
        ),
    ),
  ];
}

function toolView({ name, text }) {
  return h(
    "li",
    { class: "turn turn-tool" },
    h("h3", { class: "turn-author", t: ["chat.tool.resultOf", { name: name ?? "" }] }),
    h("pre", { class: "turn-result" }, text),
  );
}
