// The playground's panel "Chat": a conversation with a model, and the parameters of its calls.
import { h, replace } from "../dom.js";
import { t } from "../i18n.js";
import { icon } from "../ui/icons.js";
import { confirmDialog } from "../ui/dialog.js";
import { callChat } from "./chat/call.js";
import { composer } from "./chat/composer.js";
import { Conversation } from "./chat/conversation.js";
import { keepScrolledDown } from "./chat/scroll.js";
import { chatSettings } from "./chat/settings.js";
import { turnView } from "./chat/turns.js";

/// Fills the element of the panel.
export function mountChat(root) {
  const conversation = new Conversation();
  const settings = chatSettings();
  const list = h("ol", { class: "turns", role: "list", tAttrs: { "aria-label": "chat.conversation" } });
  const status = h("p", { class: "visually-hidden", role: "status" });
  const clear = h(
    "button",
    { class: "button button-quiet button-small", type: "button", onclick: clearAll },
    icon("trash"),
    h("span", { t: "chat.clear" }),
  );
  const empty = h(
    "div",
    { class: "turns-empty" },
    h("p", { class: "empty-title", t: "chat.empty.title" }),
    h("p", { t: "chat.empty.text" }),
  );
  const notKept = h("p", { class: "notice notice-warn", t: "chat.notKept", hidden: true });
  const input = composer({ onsend: send, onstop: () => call?.abort() });
  const card = h(
    "section",
    { class: "card card-chat chat", tAttrs: { "aria-label": "chat.conversation" } },
    h("div", { class: "workbench-head" }, h("h2", { t: "chat.conversation" }), clear),
    empty,
    list,
    notKept,
    status,
    input.element,
  );
  input.takePicturesFrom(card);
  const follow = keepScrolledDown(card);
  let call = null;

  const actions = { run, edit, isRunning: () => call !== null };

  function show() {
    const { turns } = conversation;
    replace(
      list,
      turns.map((turn, index) => turnView(turn, { ...actions, isLast: index === turns.length - 1, index, turns })),
    );
    list.hidden = turns.length === 0;
    empty.hidden = turns.length > 0;
    clear.hidden = turns.length === 0;
    clear.disabled = call !== null;
  }

  function save() {
    notKept.hidden = conversation.save();
  }

  function send({ text, pictures, edited }) {
    if (!settings.parameters()) return false;
    if (edited !== null) conversation.truncate(edited);
    conversation.add({ role: "user", text, pictures });
    run();
    return true;
  }

  /// Calls the model with the conversation up to its last message of the user or result of a tool.
  async function run() {
    const parameters = settings.parameters();
    if (call || !parameters) return;
    conversation.dropReply();
    const turn = conversation.add({
      role: "assistant",
      text: "",
      reasoning: "",
      toolCalls: [],
      model: parameters.model,
    });
    call = new AbortController();
    input.setRunning(true);
    // The buttons of the turns are built again.
    const hadFocus = list.contains(document.activeElement);
    show();
    if (hadFocus) input.focus();
    save();
    follow.toEnd();
    const onchange = () => list.lastElementChild.view.update(follow.around);
    status.textContent = t("chat.status.waiting");
    try {
      await callChat({ conversation, parameters, turn, signal: call.signal, onchange });
      status.textContent = t("chat.status.complete");
    } catch (error) {
      if (call.signal.aborted) turn.isStopped = true;
      else {
        const { message, code, status, param, requestId, retryAfter } = error;
        turn.error = { message, code, status, param, requestId, retryAfter };
      }
      // The notice of an error is announced by itself.
      status.textContent = turn.isStopped ? t("chat.status.stopped") : "";
    }
    call = null;
    input.setRunning(false);
    follow.around(show);
    save();
  }

  function edit(index) {
    input.edit(conversation.turns[index], index);
  }

  async function clearAll() {
    const isConfirmed = await confirmDialog({
      title: "chat.clear.title",
      text: "chat.clear.text",
      action: "chat.clear",
      isDangerous: true,
    });
    if (!isConfirmed) return;
    conversation.truncate(0);
    input.stopEditing();
    show();
    save();
    input.focus();
  }

  document.addEventListener("languagechange", show);
  // A part of a reply that has arrived survives a reload, too.
  addEventListener("pagehide", save);
  show();
  replace(root, h("div", { class: "workbench panel-chat" }, settings.element, card));
}
