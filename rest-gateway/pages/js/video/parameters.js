// The fields of a video's parameters, from what the model accepts. A parameter that a model does not have has no field.
import { h } from "../dom.js";
import { t } from "../i18n.js";
import { field, select } from "../ui/field.js";

/// Sizes that are offered for a model with any size. Others can be entered.
const COMMON_SIZES = ["1920x1080", "1280x720", "640x360", "1080x1920", "720x1280", "1024x1024"];
/// Up to this number of durations they are a select, otherwise a number.
const MAX_CHOICES = 16;

/// Returns the main fields of a model: `{ name, element, control, setError, read() }`, where `read()` returns members of the request.
export function parameterFields(video) {
  return [...outputFields(video), secondsField(video.supported_durations, "video.seconds"), audioField(video)].filter(
    Boolean,
  );
}

/// Returns the fields that few requests need.
export function furtherFields(video) {
  return [
    video.negative_prompt && textField("negative_prompt", "textarea", { rows: "2" }),
    video.seed && seedField(),
    fitField(),
    textField("callback_url", "input", { type: "url", placeholder: "https://" }),
    extraField(),
  ].filter(Boolean);
}

function outputFields({ supported_sizes: sizes, supported_resolutions: resolutions, supported_aspect_ratios: ratios }) {
  if (sizes?.length) return [choiceField("size", sizes)];
  const fields = [
    resolutions?.length && choiceField("resolution", resolutions),
    ratios?.length && choiceField("aspect_ratio", ratios),
  ].filter(Boolean);
  return fields.length > 0 ? fields : [anySizeField()];
}

function choiceField(name, values) {
  const control = select([{ value: "", t: "video.default" }, ...values.map((value) => ({ value, text: value }))]);
  return {
    ...field({ name, label: `video.${name}`, control }),
    read: () => (control.value ? { [name]: control.value } : {}),
  };
}

/// A select of common sizes, whose last choice is a field for any other.
function anySizeField() {
  const other = h("input", {
    class: "input",
    placeholder: "1280x720",
    pattern: "\\d{2,4}x\\d{2,4}",
    hidden: true,
    tAttrs: { "aria-label": "video.size.other", title: "video.size.pattern" },
  });
  const control = select([
    { value: "", t: "video.default" },
    ...COMMON_SIZES.map((value) => ({ value, text: value })),
    { value: "other", t: "video.size.choose" },
  ]);
  const result = field({ name: "size", label: "video.size", control });
  control.after(other);
  control.addEventListener("change", () => {
    other.hidden = control.value !== "other";
    other.required = !other.hidden;
    if (!other.hidden) other.focus();
  });
  return {
    ...result,
    read() {
      const size = control.value === "other" ? other.value.trim() : control.value;
      return size ? { size } : {};
    },
  };
}

/// Returns the field for a duration: a select, or a number if a model accepts many. `durations` is null or empty if nothing is known.
export function secondsField(durations, label) {
  const known = durations?.length ? durations : [1, 60];
  const [min, max] = [Math.min(...known), Math.max(...known)];
  const isRange = !durations?.length || (known.length > MAX_CHOICES && known.length === max - min + 1);
  const control = isRange
    ? h("input", {
        class: "input",
        type: "number",
        min,
        max,
        step: "1",
        inputmode: "numeric",
        tAttrs: { placeholder: "video.default" },
      })
    : select([
        { value: "", t: "video.default" },
        ...known.map((value) => ({ value: String(value), t: ["video.seconds.option", { n: value }] })),
      ]);
  const hint = isRange ? ["video.seconds.range", { min, max }] : null;
  return {
    ...field({ name: "seconds", label, hint, control }),
    aliases: ["duration"],
    read: () => (control.value ? { seconds: control.value } : {}),
  };
}

function audioField({ audio }) {
  if (audio !== "default_on" && audio !== "default_off") return null;
  const isDefault = audio === "default_on";
  const control = select([
    { value: "", t: isDefault ? "video.audio.defaultOn" : "video.audio.defaultOff" },
    { value: String(!isDefault), t: isDefault ? "video.audio.off" : "video.audio.on" },
  ]);
  return {
    ...field({ name: "generate_audio", label: "video.generate_audio", control }),
    read: () => (control.value ? { generate_audio: control.value === "true" } : {}),
  };
}

function textField(name, tag, attributes) {
  const control = h(tag, { class: tag, ...attributes });
  return {
    ...field({ name, label: `video.${name}`, hint: `video.${name}.hint`, control }),
    read: () => (control.value.trim() ? { [name]: control.value.trim() } : {}),
  };
}

function seedField() {
  const control = h("input", { class: "input", type: "number", step: "1", inputmode: "numeric" });
  return {
    ...field({ name: "seed", label: "video.seed", hint: "video.seed.hint", control }),
    read: () => (control.value === "" ? {} : { seed: Number(control.value) }),
  };
}

function fitField() {
  const control = select([
    { value: "", t: "video.fit.default" },
    { value: "nearest", t: "video.fit.nearest" },
    { value: "strict", t: "video.fit.strict" },
  ]);
  return {
    ...field({ name: "fit_policy", label: "video.fit_policy", control }),
    read: () => (control.value ? { fit_policy: control.value } : {}),
  };
}

/// Members that are passed on to the provider, as a JSON object.
function extraField() {
  const control = h("textarea", {
    class: "textarea mono",
    rows: "2",
    spellcheck: "false",
    placeholder: '{"camera": "static"}',
  });
  const parse = () => {
    const value = JSON.parse(control.value);
    if (value === null || typeof value !== "object" || Array.isArray(value)) throw new SyntaxError();
    return value;
  };
  control.addEventListener("input", () => {
    let message = "";
    try {
      if (control.value.trim()) parse();
    } catch {
      message = t("video.extra.invalid");
    }
    // The browser shows it at the field when the form is sent.
    control.setCustomValidity(message);
  });
  return {
    ...field({ name: "extra", label: "video.extra", hint: "video.extra.hint", control }),
    read: () => (control.value.trim() && control.validity.valid ? parse() : {}),
  };
}
