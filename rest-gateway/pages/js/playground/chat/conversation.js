// The conversation: its turns, their form in a request, and their copy in the session storage.
import { load, save } from "../shared/session.js";

/// The most characters that are stored, pictures included. Browsers allow five million characters for all of an origin.
const MAX_STORED = 3_000_000;

/// The most turns that are stored. The earliest are left out first.
const MAX_TURNS = 200;

/// A conversation. Its turns are `{ role: "user", text, pictures }` with pictures as `data:` URLs,
/// `{ role: "assistant", text, reasoning, toolCalls, … }` with the facts that `callChat` adds, and `{ role: "tool", id, text }`.
export class Conversation {
  turns = load("chat", []);

  /// Adds a turn and returns it.
  add(turn) {
    this.turns.push(turn);
    return turn;
  }

  /// Removes the turn at `index` and all after it.
  truncate(index) {
    this.turns.length = Math.min(index, this.turns.length);
  }

  /// Removes the model's reply at the end, so that it can be generated again.
  dropReply() {
    if (this.turns.at(-1)?.role === "assistant") this.turns.pop();
  }

  /// Stores the turns. Returns whether all are stored: pictures are left out first, then the earliest turns.
  save() {
    const turns = this.turns.slice(-MAX_TURNS);
    const withoutPictures = turns.map((turn) => (turn.pictures?.length ? { ...turn, pictures: [] } : turn));
    for (const candidate of [turns, withoutPictures, withoutPictures.slice(-20)]) {
      if (JSON.stringify(candidate).length <= MAX_STORED && save("chat", candidate))
        return candidate.length === this.turns.length && candidate === turns;
    }
    save("chat", []);
    return false;
  }

  /// Returns the `messages` of a request, without replies that have failed before their first text, and without calls of tools that
  /// have no results, which the API refuses.
  messages(system) {
    const messages = system ? [{ role: "system", content: system }] : [];
    for (const [index, turn] of this.turns.entries()) {
      if (turn.role === "user") messages.push({ role: "user", content: userContent(turn) });
      else if (turn.role === "tool") messages.push({ role: "tool", tool_call_id: turn.id, content: turn.text });
      else {
        const calls = this.turns[index + 1]?.role === "tool" ? turn.toolCalls : [];
        if (turn.text || calls.length > 0) messages.push(assistantMessage(turn.text, calls));
      }
    }
    return messages;
  }
}

function userContent({ text, pictures }) {
  if (pictures.length === 0) return text;
  return [
    ...(text ? [{ type: "text", text }] : []),
    ...pictures.map((url) => ({ type: "image_url", image_url: { url } })),
  ];
}

function assistantMessage(text, toolCalls) {
  const calls = toolCalls.map(({ id, name, arguments: text }) => ({
    id,
    type: "function",
    function: { name, arguments: text },
  }));
  return { role: "assistant", content: text || null, ...(calls.length > 0 ? { tool_calls: calls } : {}) };
}
