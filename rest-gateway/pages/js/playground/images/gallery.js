// The images of the requests so far, the newest first.
import { h } from "../../dom.js";
import { entryView } from "./entry.js";

/// The most images that are kept. They are in the memory of the browser, at up to some megabytes each.
const MAX_IMAGES = 40;

/// A list of requests with their images. `onuse(blob)` takes an image as input.
export class Gallery {
  element = h("ol", { class: "gallery", role: "list", tAttrs: { "aria-label": "images.results" } });
  #entries = [];
  #onuse;
  #onchange;

  constructor({ onuse, onchange }) {
    this.#onuse = onuse;
    this.#onchange = onchange;
  }

  get isEmpty() {
    return this.#entries.length === 0;
  }

  /// Adds a request and returns its entry. The oldest requests make room for it.
  add(parameters) {
    const entry = entryView(parameters, { onuse: this.#onuse });
    this.#entries.unshift(entry);
    this.element.prepend(entry.element);
    while (this.#entries.length > 1 && this.#count() > MAX_IMAGES) this.#entries.pop().remove();
    this.#onchange();
    return entry;
  }

  #count() {
    return this.#entries.reduce((sum, { wanted }) => sum + wanted, 0);
  }

  /// Removes all requests.
  clear() {
    for (const entry of this.#entries) entry.remove();
    this.#entries = [];
    this.#onchange();
  }
}
