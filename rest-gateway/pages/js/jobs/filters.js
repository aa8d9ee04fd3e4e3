// Filters of the list: status, model and, for administrators, the owner, which the API applies; and a text, which the page applies.
import { h, replace, uniqueId } from "../dom.js";
import { select } from "../ui/field.js";
import { statusOf } from "../video/status.js";

const STATUSES = ["queued", "in_progress", "completed", "failed", "cancelled"];

/// Returns `{ element, query(), matches(video), hasText(), isActive(), addModels(names), showOwner(), reset(), clear() }`. `ontext()` is
/// called for a change of the text, `onquery()` for one of the others, and `onopen(id)` for the id of a video.
export function listFilters({ ontext, onquery, onopen }) {
  const models = new Set();
  const status = select([
    { value: "", t: "jobs.filter.anyStatus" },
    ...STATUSES.map((value) => ({ value, t: `video.status.${value}` })),
  ]);
  const model = select([{ value: "", t: "jobs.filter.anyModel" }]);
  const text = h("input", {
    class: "input",
    type: "search",
    spellcheck: "false",
    autocomplete: "off",
    tAttrs: { placeholder: "jobs.filter.text.hint" },
  });
  const owner = h("input", {
    class: "input",
    type: "search",
    spellcheck: "false",
    tAttrs: { placeholder: "jobs.filter.owner.hint" },
  });
  const ownerField = labelled("jobs.filter.owner", owner);
  ownerField.hidden = true;
  const element = h(
    "form",
    {
      class: "filters",
      role: "search",
      tAttrs: { "aria-label": "jobs.filter" },
      onsubmit: (event) => event.preventDefault(),
    },
    labelled("jobs.filter.text", text, "filter-text"),
    labelled("jobs.filter.status", status),
    labelled("jobs.filter.model", model),
    ownerField,
  );
  for (const control of [status, model, owner]) control.addEventListener("change", onquery);
  text.addEventListener("input", ontext);
  text.addEventListener("keydown", (event) => {
    const id = text.value.trim();
    if (event.key === "Enter" && /^video_\w+$/.test(id)) onopen(id);
  });
  const wanted = () => text.value.trim().toLowerCase();
  return {
    element,
    /// The parameters of a list in the API.
    query() {
      const values = { status: status.value, model: model.value, owner: owner.value.trim() };
      return Object.fromEntries(Object.entries(values).filter(([, value]) => value));
    },
    hasText: () => Boolean(wanted()),
    isActive: () => Boolean(status.value || model.value || owner.value.trim() || wanted()),
    // Also by status, because the status of a loaded video changes. Cancelled videos have failed, in the API.
    matches: (video) =>
      (!status.value || [video.status, statusOf(video)].includes(status.value)) &&
      (!wanted() || video.id.includes(wanted()) || video.prompt.toLowerCase().includes(wanted())),
    /// Offers these models as well.
    addModels(names) {
      const known = models.size;
      for (const name of names) models.add(name);
      if (models.size === known) return;
      const selected = model.value;
      replace(
        model,
        h("option", { value: "", t: "jobs.filter.anyModel" }),
        [...models].sort().map((name) => h("option", { value: name }, name)),
      );
      model.value = selected;
    },
    showOwner() {
      ownerField.hidden = false;
    },
    /// For another key, which may not be an administrator's.
    reset() {
      ownerField.hidden = true;
      owner.value = "";
    },
    clear() {
      for (const control of [status, model, owner, text]) control.value = "";
      onquery();
    },
  };
}

function labelled(label, control, kind = "") {
  control.id = uniqueId("filter");
  return h("div", { class: `field ${kind}` }, h("label", { class: "field-label", for: control.id, t: label }), control);
}
