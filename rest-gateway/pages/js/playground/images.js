// The playground's panel "Images": a form, and a gallery of the images that were generated with it.
import { h, replace } from "../dom.js";
import { t } from "../i18n.js";
import { icon } from "../ui/icons.js";
import { callImages } from "./images/call.js";
import { imageForm } from "./images/form.js";
import { Gallery } from "./images/gallery.js";

/// Fills the element of the panel.
export function mountImages(root) {
  const form = imageForm({ onsubmit: run, onstop: () => call?.abort() });
  const gallery = new Gallery({
    onuse: (blob) => {
      form.useAsInput(blob);
      form.element.scrollIntoView({ block: "start" });
    },
    onchange: () => {
      empty.hidden = !gallery.isEmpty;
      clear.hidden = gallery.isEmpty;
    },
  });
  const empty = h(
    "div",
    { class: "gallery-empty" },
    h("p", { class: "empty-title", t: "images.empty.title" }),
    h("p", { t: "images.empty.text" }),
  );
  const clear = h(
    "button",
    { class: "button button-quiet button-small", type: "button", hidden: true, onclick: () => gallery.clear() },
    icon("trash"),
    h("span", { t: "images.clear" }),
  );
  const status = h("p", { class: "visually-hidden", role: "status" });
  const results = h(
    "section",
    { class: "card card-image gallery-card", tAttrs: { "aria-label": "images.results" } },
    h("div", { class: "workbench-head" }, h("h2", { t: "images.results" }), clear),
    status,
    empty,
    gallery.element,
  );
  let call = null;

  /// Generates or edits images with the parameters of the form.
  async function run(parameters) {
    if (call) return;
    call = new AbortController();
    const { signal } = call;
    form.setRunning(true);
    clear.disabled = true;
    status.textContent = t("images.status.running");
    const entry = gallery.add(parameters);
    // On a narrow screen the images are below the form.
    if (results.getBoundingClientRect().top > innerHeight * 0.75) results.scrollIntoView({ block: "start" });
    try {
      await callImages({ parameters, signal, entry });
      entry.end();
      status.textContent = t("images.status.complete", { n: entry.count });
    } catch (error) {
      if (signal.aborted) entry.stop();
      else entry.fail(error, () => run(parameters));
      // The notice of an error is announced by itself.
      status.textContent = signal.aborted ? t("images.status.stopped") : "";
    }
    call = null;
    clear.disabled = false;
    form.setRunning(false);
  }

  form.takePicturesFrom(results);
  form.takePicturesFrom(form.element);
  replace(root, h("div", { class: "workbench panel-image" }, form.element, results));
}
