// The video models and what they accept.
import { requestJson } from "../api.js";

let loaded = null;

/// Returns the video models as `/v1/models` describes them: `{ id, aliases, default, owned_by, capabilities, video }`. They are read
/// once for each API key.
export function videoModels() {
  loaded ??= requestJson("v1/models").then(
    ({ data }) => data.filter(({ modality }) => modality === "video"),
    (error) => {
      loaded = null;
      throw error;
    },
  );
  return loaded;
}

document.addEventListener("keychange", () => {
  loaded = null;
});

/// Returns the model with this name or alias, or `undefined`: models that simulate failures are not listed.
export function findModel(models, name) {
  return models.find(({ id, aliases }) => id === name || aliases?.includes(name));
}

/// Returns whether a model can remix a video. Unknown models may; the gateway decides.
export function canRemix(model) {
  return model?.capabilities?.includes("remix") ?? true;
}
