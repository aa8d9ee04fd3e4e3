// A box with a prompt, a button that runs it, and the result.
import { h, replace, uniqueId } from "../dom.js";
import { t } from "../i18n.js";
import { icon } from "../ui/icons.js";
import { errorNotice } from "../ui/status.js";

/// Returns the box of a panel. `run(prompt, output, signal)` fills the output; the button becomes one that stops it.
export function tryBox(modality, run) {
  const id = uniqueId("prompt");
  const example = () => t(`overview.prompt.${modality}`);
  const prompt = h("textarea", { id, class: "textarea", rows: "3", value: example(), required: true });
  const button = h("button", { class: "button button-primary" });
  const output = h("div", {
    class: "try-output",
    role: "region",
    tAttrs: { "aria-label": `overview.result.${modality}` },
    hidden: true,
  });
  let call = null;

  const show = () => {
    const isRunning = call !== null;
    replace(
      button,
      icon(isRunning ? "stop" : "play"),
      h("span", { t: isRunning ? "overview.stop" : `overview.run.${modality}` }),
    );
    button.classList.toggle("button-primary", !isRunning);
    output.setAttribute("aria-busy", String(isRunning));
  };

  const start = async () => {
    call = new AbortController();
    const { signal } = call;
    show();
    output.hidden = false;
    replace(output);
    try {
      await run(prompt.value.trim(), output, signal);
    } catch (error) {
      if (signal.aborted) output.append(h("p", { class: "small muted", role: "status", t: "overview.stopped" }));
      else output.append(errorNotice(error));
    }
    call = null;
    show();
  };

  // The example follows the language until it is edited.
  let shown = prompt.value;
  document.addEventListener("languagechange", () => {
    if (prompt.value === shown) prompt.value = example();
    shown = example();
  });
  prompt.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !call) form.requestSubmit();
  });
  const form = h(
    "form",
    {
      class: "try",
      onsubmit: (event) => {
        event.preventDefault();
        if (call) call.abort();
        else start();
      },
    },
    h("div", { class: "field" }, h("label", { class: "field-label", for: id, t: "overview.prompt" }), prompt),
    h("div", { class: "row" }, button),
  );
  show();
  return h("div", { class: "try-box" }, form, output);
}
