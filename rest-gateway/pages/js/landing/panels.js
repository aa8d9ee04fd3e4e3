// A panel for each modality: the default model and its provider, and a box to try it.
import { requestJson } from "../api.js";
import { h, replace, uniqueId } from "../dom.js";
import { askForKey, getKey } from "../key.js";
import { icon } from "../ui/icons.js";
import { badge, errorNotice } from "../ui/status.js";
import { tryChat } from "./chat.js";
import { tryImage } from "./image.js";
import { tryBox } from "./try_box.js";
import { tryVideo } from "./video.js";

const PANELS = [
  ["chat", tryChat],
  ["image", tryImage],
  ["video", tryVideo],
];

/// Reads the models and shows the panels. `snippets` gets the default model of each panel, and whether a key is required.
export async function mountPanels(status, panels, snippets) {
  const load = async () => {
    replace(status, h("p", { class: "muted", t: "common.loading" }));
    try {
      const { data } = await requestJson("v1/models", { askKey: false });
      replace(status);
      const defaults = new Map(PANELS.map(([modality]) => [modality, defaultModel(data, modality)]));
      replace(
        panels,
        PANELS.map(([modality, run]) => panel(modality, run, defaults.get(modality), data)),
      );
      snippets.setModels(defaults);
    } catch (error) {
      replace(panels);
      if (error.status === 401) snippets.requireKey();
      replace(status, error.status === 401 ? keyNeeded() : [errorNotice(error), retry(load)]);
    }
  };
  document.addEventListener("keychange", load);
  await load();
}

function defaultModel(models, modality) {
  const served = models.filter((model) => model.modality === modality);
  return served.find((model) => model.default) ?? served[0];
}

function keyNeeded() {
  const button = h("button", {
    class: "button button-primary",
    type: "button",
    t: "key.absent",
    onclick: () => askForKey({ rejected: getKey() }),
  });
  return h(
    "div",
    { class: "empty" },
    h("p", { class: "empty-title", t: "overview.keyNeeded.title" }),
    h("p", { t: "overview.keyNeeded.text" }),
    button,
  );
}

function retry(load) {
  return h("p", { class: "retry" }, h("button", { class: "button", type: "button", t: "common.retry", onclick: load }));
}

function panel(modality, run, model, models) {
  const id = uniqueId("panel");
  const isMock = model?.owned_by === "offline";
  return h(
    "section",
    { class: `card card-${modality} panel`, "aria-labelledby": id },
    h(
      "div",
      { class: "panel-head" },
      h("span", { class: "panel-icon" }, icon(modality)),
      h("h2", { id, t: `modality.${modality}` }),
      state(model, isMock),
    ),
    model && [
      facts(model, isMock, models),
      h("p", { class: "panel-hint", t: isMock ? `overview.hint.${modality}` : "overview.hint.cost" }),
      tryBox(modality, (prompt, output, signal) => run({ model, prompt, output, signal, isMock })),
    ],
  );
}

function state(model, isMock) {
  if (!model) return badge("overview.state.none", "bad");
  if (!model.healthy) return badge("overview.state.unhealthy", "bad");
  return isMock ? badge("overview.state.mock", "warn") : badge("overview.state.connected", "good");
}

function facts(model, isMock, models) {
  const further = models.filter((other) => other.modality === model.modality && other.id !== model.id);
  const provider = isMock ? h("dd", { t: "overview.provider.offline" }) : h("dd", {}, model.owned_by);
  return h(
    "dl",
    { class: "facts" },
    h("dt", { t: "overview.model" }),
    h("dd", { class: "mono" }, model.id),
    h("dt", { t: "overview.provider" }),
    provider,
    further.length > 0 && [
      h("dt", { t: "overview.further" }),
      h("dd", { t: ["overview.further", { n: further.length }], title: further.map(({ id }) => id).join(", ") }),
    ],
  );
}
