// The parameters of a request for images.
import { h, replace } from "../../dom.js";
import { icon } from "../../ui/icons.js";
import { choiceField, labelledControl, selectOf } from "../shared/controls.js";
import { modelField } from "../shared/models.js";
import { load, save } from "../shared/session.js";
import { openWhenWide } from "../shared/wide.js";
import { imageInput } from "./input.js";
import { promptHistory } from "./prompts.js";

const SIZES = ["1024x1024", "1536x1024", "1024x1536", "1792x1024", "1024x1792", "512x512", "2048x2048"];
const QUALITIES = ["auto", "low", "medium", "high"];
const FORMATS = ["png", "jpeg", "webp"];
const PREVIEWS = ["0", "1", "2", "3"];

/// Returns `{ element, takePicturesFrom(target), useAsInput(blob), setRunning(isRunning) }`. `onsubmit({ members, previews, pictures, mask })` gets the members
/// of the request, the number of previews, the input pictures and the mask as blobs.
export function imageForm({ onsubmit, onstop }) {
  const stored = load("image-settings", {});
  const prompt = h("textarea", {
    class: "textarea images-prompt",
    rows: "4",
    required: true,
    maxlength: "32000",
    value: stored.prompt ?? "",
    tAttrs: { placeholder: "images.prompt.placeholder" },
    onkeydown: (event) => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || isRunning) return;
      event.preventDefault();
      element.requestSubmit();
    },
  });
  const history = promptHistory((earlier) => {
    prompt.value = earlier;
    prompt.focus();
  });
  const input = imageInput();
  const model = modelField("image", { onchange: modelChanged });
  const size = choiceField("images.size", {
    options: [
      { value: "auto", t: "images.auto" },
      ...SIZES.map((value) => ({ value, text: value.replace("x", " × ") })),
    ],
    otherLabel: "images.size.other",
    placeholder: "1280x720",
  });
  const quality = selectOf(
    QUALITIES.map((value) => ({ value, t: `images.quality.${value}` })),
    { value: stored.quality ?? "auto" },
  );
  const count = h("input", {
    class: "input",
    type: "number",
    min: "1",
    max: "10",
    required: true,
    value: stored.count ?? "1",
  });
  const format = selectOf(
    FORMATS.map((value) => ({ value, text: value.toUpperCase() })),
    { value: stored.format ?? "png" },
  );
  const seed = h("input", {
    class: "input",
    type: "number",
    step: "1",
    value: stored.seed ?? "",
    tAttrs: { placeholder: "images.seed.random" },
  });
  const previews = selectOf(
    PREVIEWS.map((value) => ({
      value,
      t: value === "0" ? "images.previews.none" : undefined,
      text: value === "0" ? undefined : value,
    })),
    { value: stored.previews ?? "2" },
  );
  const previewField = labelledControl("images.previews", previews, { hint: "images.previews.hint" });
  const submit = h("button", { class: "button button-primary" });
  let isRunning = false;

  if (stored.size) size.set(stored.size);
  model.set(stored.model);

  /// The list of a model's abilities has `edit` and `preview`. A model that is not in the list may have them.
  function can(ability) {
    return model.model()?.capabilities.includes(ability) ?? true;
  }

  function modelChanged() {
    input.setEnabled(can("edit"));
    previewField.hidden = !can("preview");
    showSubmit();
  }

  function showSubmit() {
    const action = input.pictures().length > 0 ? "images.edit" : "images.generate";
    replace(submit, icon(isRunning ? "stop" : "play"), h("span", { t: isRunning ? "images.stop" : action }));
    submit.classList.toggle("button-primary", !isRunning);
  }

  function store() {
    save("image-settings", {
      prompt: prompt.value,
      model: model.name(),
      size: size.value(),
      quality: quality.value,
      count: count.value,
      format: format.value,
      seed: seed.value,
      previews: previews.value,
    });
  }

  function submitted(event) {
    event.preventDefault();
    if (isRunning) {
      onstop();
      return;
    }
    const text = prompt.value.trim();
    if (!text) {
      prompt.focus();
      return;
    }
    history.add(text);
    store();
    onsubmit({
      members: {
        ...(model.name() ? { model: model.name() } : {}),
        prompt: text,
        n: Number(count.value),
        size: size.value() || "auto",
        quality: quality.value,
        output_format: format.value,
        ...(seed.value ? { seed: Number(seed.value) } : {}),
      },
      previews: can("preview") ? Number(previews.value) : 0,
      pictures: input.pictures(),
      mask: input.mask(),
    });
  }

  const element = h(
    "form",
    { class: "card workbench-form", onsubmit: submitted, onchange: store, tAttrs: { "aria-label": "images.request" } },
    h("h2", { t: "images.request" }),
    labelledControl("images.prompt", prompt, { extra: history.element }),
    input.element,
    h("div", { class: "row workbench-submit" }, submit),
    h(
      "details",
      { class: "disclosure workbench-parameters" },
      h("summary", { t: "images.parameters" }),
      h(
        "div",
        { class: "stack" },
        model.element,
        size.element,
        h(
          "div",
          { class: "field-pair" },
          labelledControl("images.quality", quality),
          labelledControl("images.format", format),
        ),
        h("div", { class: "field-pair" }, labelledControl("images.count", count), labelledControl("images.seed", seed)),
        previewField,
      ),
    ),
  );
  const parameters = openWhenWide(element.querySelector(".workbench-parameters"));
  // A control that is invalid gets the focus, for which it must be visible.
  parameters.addEventListener("invalid", () => (parameters.open = true), true);
  input.onchange = showSubmit;
  showSubmit();
  return {
    element,
    takePicturesFrom: input.takePicturesFrom,
    useAsInput: (blob) => input.use(blob),
    setRunning(running) {
      isRunning = running;
      showSubmit();
    },
  };
}
