// The format of server-sent events (WHATWG HTML, section 9.2.6).

/// Parses an event stream that arrives in pieces.
export class EventParser {
  #rest = "";
  #event = { event: "message", data: [], id: undefined };

  /// Returns the events that a piece of the stream completes.
  push(piece) {
    const events = [];
    const text = this.#rest + piece;
    // A carriage return at the end may be followed by its line feed in the next piece.
    const end = text.endsWith("\r") ? text.length - 1 : text.length;
    const lines = text.slice(0, end).split(/\r\n|\r|\n/);
    this.#rest = lines.pop() + text.slice(end);
    for (const line of lines) {
      if (line !== "") {
        this.#field(line);
        continue;
      }
      const { event, data, id } = this.#event;
      if (data.length > 0) events.push({ event, data: data.join("\n"), id });
      this.#event = { event: "message", data: [], id };
    }
    return events;
  }

  #field(line) {
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    // A line that begins with a colon is a comment, and has the empty name.
    if (name === "data") this.#event.data.push(value);
    else if (name === "event") this.#event.event = value;
    else if (name === "id") this.#event.id = value;
  }
}
