// The models of a modality, as a field of a form.
import { requestJson } from "../../api.js";
import { h, replace } from "../../dom.js";
import { askForKey, getKey } from "../../key.js";
import { badge, errorNotice } from "../../ui/status.js";
import { choiceField } from "./controls.js";

/// Returns `{ element, name(), model(), set(name) }`: the field, the name that is sent, and its entry in the list, if there is one.
/// Patterns of models that are passed through serve more names than the list has, so any name can be entered. `onchange` is also
/// called when the list has been read.
export function modelField(modality, { onchange = () => {} } = {}) {
  let models = [];
  const state = h("div", { class: "model-state small" });
  const model = () => models.find(({ id }) => id === choice.value());
  const show = () => {
    const current = model();
    replace(
      state,
      current?.owned_by === "offline" && badge("playground.model.mock", "warn"),
      current && current.owned_by !== "offline" && h("span", { class: "muted" }, current.owned_by),
      current && !current.healthy && badge("playground.model.unhealthy", "bad"),
    );
    onchange();
  };
  const choice = choiceField("playground.model", { otherLabel: "playground.model.name", onchange: show });
  const problem = h("div", { class: "stack" });
  const load = async () => {
    try {
      const { data } = await requestJson("v1/models", { askKey: false });
      models = data.filter((entry) => entry.modality === modality);
      models.sort((one, other) => Number(other.default) - Number(one.default));
      choice.setOptions(models.map(({ id }) => ({ value: id, text: id })));
      replace(problem);
    } catch (error) {
      replace(problem, error.status === 401 ? keyNeeded() : [errorNotice(error), retry(load)]);
    }
    show();
  };
  document.addEventListener("keychange", load);
  load();
  const set = (name) => {
    if (name) choice.set(name);
  };
  return { element: h("div", { class: "stack" }, choice.element, state, problem), name: choice.value, model, set };
}

function keyNeeded() {
  return h(
    "div",
    { class: "notice stack" },
    h("p", { t: "playground.keyNeeded" }),
    h(
      "p",
      {},
      h("button", {
        class: "button button-primary",
        type: "button",
        t: "key.absent",
        onclick: () => askForKey({ rejected: getKey() }),
      }),
    ),
  );
}

function retry(load) {
  return h("p", {}, h("button", { class: "button", type: "button", t: "common.retry", onclick: load }));
}
