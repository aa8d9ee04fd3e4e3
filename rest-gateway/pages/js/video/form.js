// The form that creates a video. Its fields follow from what the selected model accepts.
import { requestJson } from "../api.js";
import { h, replace } from "../dom.js";
import { t } from "../i18n.js";
import { clearFieldErrors, field, select, showFieldError } from "../ui/field.js";
import { errorNotice } from "../ui/status.js";
import { estimateView } from "./estimate.js";
import { newIdempotencyKey } from "./idempotency.js";
import { inputFields } from "./inputs.js";
import { MOCK_PARAMETERS } from "./mock_parameters.js";
import { furtherFields, parameterFields } from "./parameters.js";

/// Returns the form. `models` are those of `videoModels()`; `oncreated(video)` gets each created video.
export function videoForm(models, oncreated) {
  const prompt = h("textarea", { class: "textarea", rows: "4", required: true, value: t("video.prompt.example") });
  const promptField = { ...field({ name: "prompt", label: "video.prompt", control: prompt }) };
  const selected = models.find((model) => model.default) ?? models[0];
  const model = select(
    models.map(({ id, owned_by: provider }) => ({ value: id, text: `${id} · ${provider}` })),
    selected.id,
  );
  const modelField = field({ name: "model", label: "video.model", control: model });
  const notice = h("div", { class: "stack", hidden: true });
  const modelNotes = h("div", { class: "model-notes" });
  const inputs = h("div");
  const main = h("div", { class: "parameters" });
  const further = h("div", { class: "parameters parameters-further" });
  const moreFields = h("details", { class: "more" }, h("summary", { t: "video.more" }), further);
  const submit = h("button", { class: "button button-primary", t: "video.create" });
  let fields = [];
  let parameters = [];
  let input = null;
  /// The body and key of a create without a response, so that it is repeated under the same key.
  let pending = null;

  const read = () =>
    Object.assign({}, ...[...parameters].reverse().map((parameter) => parameter.read()), input.read(), {
      model: model.value,
      prompt: prompt.value.trim(),
    });
  const estimate = estimateView((error) => {
    clearFieldErrors(fields);
    if (error) showFieldError(fields, error);
  });
  const changed = () => {
    if (input) estimate.update(read());
  };

  const show = () => {
    const current = models.find(({ id }) => id === model.value);
    const mainFields = parameterFields(current.video);
    const moreOnes = furtherFields(current.video);
    parameters = [...mainFields, ...moreOnes];
    if (current.owned_by === "offline") preset(parameters);
    input = null;
    const next = inputFields(current.video, changed);
    input = next;
    fields = [promptField, modelField, ...parameters, ...input.fields];
    replace(inputs, input.element);
    replace(
      main,
      mainFields.map(({ element }) => element),
    );
    replace(
      further,
      moreOnes.map(({ element }) => element),
    );
    replace(modelNotes, notes(current));
    changed();
  };

  const send = async () => {
    const json = read();
    const body = JSON.stringify(json);
    if (pending?.body !== body) pending = { body, key: newIdempotencyKey() };
    clearFieldErrors(fields);
    notice.hidden = true;
    submit.disabled = true;
    try {
      const video = await requestJson("v1/videos", {
        body,
        headers: { "content-type": "application/json", "idempotency-key": pending.key },
      });
      pending = null;
      oncreated(video);
    } catch (error) {
      if (error.code !== "network") pending = null;
      if (showFieldError(fields, error)) {
        if (further.querySelector(".field-error:not([hidden])")) moreFields.open = true;
        form.querySelector("[aria-invalid=true]")?.focus();
      } else {
        replace(notice, errorNotice(error));
        notice.hidden = false;
      }
    } finally {
      submit.disabled = false;
    }
  };

  const form = h(
    "form",
    {
      class: "card card-video card-body video-form",
      onsubmit(event) {
        event.preventDefault();
        if (!submit.disabled) send();
      },
      oninput: changed,
      onchange: changed,
    },
    promptField.element,
    modelField.element,
    modelNotes,
    inputs,
    main,
    moreFields,
    notice,
    estimate.details,
    h("div", { class: "row" }, submit, estimate.element),
  );
  followExample(prompt);
  model.addEventListener("change", show);
  prompt.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  show();
  return form;
}

function preset(parameters) {
  for (const { name, control } of parameters) if (name in MOCK_PARAMETERS) control.value = MOCK_PARAMETERS[name];
}

/// Returns notes about a model: failures of its provider, the mock engine, sound, deprecation.
function notes({ healthy, owned_by: provider, video }) {
  return [
    healthy === false && h("p", { class: "notice notice-bad", t: "video.model.failing" }),
    provider === "offline" && h("p", { class: "field-hint", t: "video.model.mock" }),
    video.audio === "always" && h("p", { class: "field-hint", t: "video.audio.always" }),
    video.deprecation_date &&
      h("p", { class: "notice notice-warn", t: ["video.model.deprecated", { date: video.deprecation_date }] }),
  ];
}

/// The example prompt follows the language until it is edited.
function followExample(prompt) {
  let example = prompt.value;
  document.addEventListener("languagechange", () => {
    if (prompt.value === example) prompt.value = t("video.prompt.example");
    example = t("video.prompt.example");
  });
}
