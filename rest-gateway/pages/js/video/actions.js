// The actions for a video: cancel, delete, remix, edit, extend, run again.
import { requestJson } from "../api.js";
import { h } from "../dom.js";
import { confirmDialog } from "../ui/dialog.js";
import { field, select } from "../ui/field.js";
import { toast } from "../ui/toast.js";
import { isFinal } from "../video-events.js";
import { canRemix, findModel } from "./models.js";
import { secondsField } from "./parameters.js";
import { promptDialog } from "./prompt_dialog.js";
import { runAgainDialog } from "./run_again.js";

/// Returns the buttons for a video in its current state. `onchange(video)` gets the video after a change, `oncreated(video)` one that
/// was created from it; `ondeleted()` is called after its deletion. `models` are those of `videoModels()`.
export function actionButtons(video, { models, onchange, oncreated, ondeleted }) {
  const button = (text, run, kind = "") =>
    h("button", {
      class: `button button-small ${kind}`,
      type: "button",
      t: text,
      dataset: { action: text.split(".").at(-1) },
      onclick: run,
    });
  const created = async (dialog) => {
    const result = await dialog;
    if (result) oncreated(result);
  };
  const isCompleted = video.status === "completed";
  const model = findModel(models, video.model);
  return [
    isCompleted && canRemix(model) && button("video.action.remix", () => created(remixDialog(video))),
    isCompleted &&
      models.some((other) => canUse(other, video, "edit")) &&
      button("video.action.edit", () => created(editDialog(video, models))),
    isCompleted &&
      models.some((other) => canUse(other, video, "extend")) &&
      button("video.action.extend", () => created(extendDialog(video, models))),
    isFinal(video) && button("video.action.again", () => created(attempt(() => runAgainDialog(video)))),
    !isFinal(video) &&
      button("video.action.cancel", async () => {
        const cancelled = await cancelVideo(video);
        if (cancelled) onchange(cancelled);
      }),
    button(
      "video.action.delete",
      async () => {
        if (await deleteVideo(video)) ondeleted();
      },
      "button-danger",
    ),
  ];
}

/// Returns whether a model can edit or extend a video: its own, or any if it accepts files.
function canUse({ id, aliases, video: accepts }, { model }, operation) {
  return accepts[operation] && (id === model || aliases?.includes(model) || accepts[`${operation}_file`]);
}

async function cancelVideo({ id }) {
  const isConfirmed = await confirmDialog({
    title: "video.cancel.title",
    text: "video.cancel.text",
    action: "video.action.cancel",
    isDangerous: true,
  });
  if (!isConfirmed) return null;
  return attempt(() => requestJson(`v1/videos/${encodeURIComponent(id)}/cancel`, { method: "POST" }));
}

async function deleteVideo(video) {
  const isConfirmed = await confirmDialog({
    title: "video.delete.title",
    text: isFinal(video) ? "video.delete.text" : "video.delete.running",
    action: "video.action.delete",
    isDangerous: true,
  });
  if (!isConfirmed) return false;
  const result = await attempt(() => requestJson(`v1/videos/${encodeURIComponent(video.id)}`, { method: "DELETE" }));
  if (result) toast("video.deleted");
  return Boolean(result);
}

/// Runs a call and shows its error, if it fails, in a message.
async function attempt(call) {
  try {
    return await call();
  } catch (error) {
    toast(["video.action.failed", { message: error.message }], { isError: true });
    return null;
  }
}

function remixDialog({ id, prompt }) {
  return promptDialog({
    title: "video.remix.title",
    text: "video.remix.text",
    action: "video.action.remix",
    prompt,
    path: `v1/videos/${encodeURIComponent(id)}/remix`,
  });
}

function editDialog(video, models) {
  return promptDialog({
    title: "video.edit.title",
    text: "video.edit.text",
    action: "video.action.edit",
    prompt: "",
    fields: [modelField(video, models, "edit")],
    path: "v1/videos/edits",
    json: (members) => ({ ...members, video: { id: video.id } }),
  });
}

function extendDialog(video, models) {
  const model = modelField(video, models, "extend");
  const durations = findModel(models, model.control.value)?.video.supported_extension_durations;
  return promptDialog({
    title: "video.extend.title",
    text: "video.extend.text",
    action: "video.action.extend",
    prompt: video.prompt,
    fields: [model, secondsField(durations, "video.extend.seconds")],
    path: "v1/videos/extensions",
    json: (members) => ({ ...members, video: { id: video.id } }),
  });
}

/// A select of the models that can use a video. That of the video is selected.
function modelField(video, models, operation) {
  const usable = models.filter((model) => canUse(model, video, operation));
  const own = findModel(usable, video.model) ?? usable[0];
  const control = select(
    usable.map(({ id }) => ({ value: id, text: id })),
    own.id,
  );
  return { ...field({ name: "model", label: "video.model", control }), read: () => ({ model: control.value }) };
}
