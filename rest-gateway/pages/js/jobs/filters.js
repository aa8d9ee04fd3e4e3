// Filters of the list: status, model, a text, and for administrators the owner.
import { h, replace, uniqueId } from "../dom.js";
import { select } from "../video/field.js";
import { statusOf } from "../video/status.js";

const STATUSES = ["queued", "in_progress", "completed", "failed", "cancelled"];

/// Returns `{ element, matches(video), isActive(), setModels(names), showOwner(), hideOwner(), clear() }`. `onchange()` is called for a change of
/// the filters, `onowner(owner)` for another owner, or null for all. `onopen(id)` is called for the id of a video.
export function listFilters({ onchange, onowner, onopen }) {
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
  for (const control of [status, model]) control.addEventListener("change", onchange);
  text.addEventListener("input", onchange);
  text.addEventListener("keydown", (event) => {
    const id = text.value.trim();
    if (event.key === "Enter" && /^video_\w+$/.test(id)) onopen(id);
  });
  owner.addEventListener("change", () => onowner(owner.value.trim() || null));
  const wanted = () => text.value.trim().toLowerCase();
  return {
    element,
    isActive: () => Boolean(status.value || model.value || wanted()),
    matches: (video) =>
      (!status.value || statusOf(video) === status.value) &&
      (!model.value || video.model === model.value) &&
      (!wanted() || video.id.includes(wanted()) || video.prompt.toLowerCase().includes(wanted())),
    /// Offers these models, and keeps the selected one.
    setModels(names) {
      const selected = model.value;
      const options = [...new Set([...names, ...(selected ? [selected] : [])])].sort();
      if (
        options.join() ===
        [...model.options]
          .slice(1)
          .map(({ value }) => value)
          .join()
      )
        return;
      replace(
        model,
        h("option", { value: "", t: "jobs.filter.anyModel" }),
        options.map((name) => h("option", { value: name }, name)),
      );
      model.value = selected;
    },
    showOwner() {
      ownerField.hidden = false;
    },
    /// For another key, which may not be an administrator's.
    hideOwner() {
      ownerField.hidden = true;
      owner.value = "";
    },
    clear() {
      status.value = "";
      model.value = "";
      text.value = "";
      onchange();
    },
  };
}

function labelled(label, control, kind = "") {
  control.id = uniqueId("filter");
  return h("div", { class: `field ${kind}` }, h("label", { class: "field-label", for: control.id, t: label }), control);
}
