// One request for images, which are shown by an entry of the gallery as they arrive.
import { ApiError, requestJson, stream } from "../../api.js";
import { blobOf } from "../shared/pictures.js";

/// Generates images, or edits the input pictures if there are any. Calls of `entry`: `preview(index, blob)`,
/// `image(index, { blob, format, revisedPrompt })`, `failure(index, error)`, and `info({ … })` with the model, size, usage, cost and
/// id of the request.
///
/// Throws an `ApiError`, or the `AbortError` of the signal.
export async function callImages({ parameters, signal, entry }) {
  const { pictures } = parameters;
  const path = pictures.length > 0 ? "v1/images/edits" : "v1/images/generations";
  const options = {
    signal,
    ...content(parameters),
    onresponse: ({ headers }) =>
      entry.info({ requestId: headers.get("x-request-id"), cost: headers.get("x-triptych-cost-usd") }),
  };
  if (parameters.previews > 0) await streamImages(path, options, entry);
  else await nonStreamingImages(path, options, entry);
}

/// Returns `{ json }`, or `{ body }` with a form, which edits need for the bytes of the pictures.
function content({ members, previews, pictures, mask }) {
  const all = { ...members, response_format: "b64_json" };
  if (previews > 0) Object.assign(all, { stream: true, partial_images: previews });
  if (pictures.length === 0) return { json: all };
  const body = new FormData();
  for (const [name, value] of Object.entries(all)) body.append(name, String(value));
  for (const blob of pictures) body.append(pictures.length > 1 ? "image[]" : "image", blob, "image");
  if (mask) body.append("mask", mask, "mask.png");
  return { body };
}

async function nonStreamingImages(path, options, entry) {
  const response = await requestJson(path, options);
  const { data, failures = [], model, size, usage, output_format: format = "png" } = response;
  entry.info({ model, size, usage });
  // The failed images are missing in the list.
  const failed = new Set(failures.map(({ index }) => index));
  let index = 0;
  for (const { b64_json: base64, revised_prompt: revisedPrompt } of data) {
    while (failed.has(index)) index += 1;
    entry.image(index, { blob: blobOf(base64, `image/${format}`), format, revisedPrompt });
    index += 1;
  }
  for (const { index, code, message } of failures) entry.failure(index, new ApiError(message, { code }));
}

async function streamImages(path, options, entry) {
  let cost = 0;
  for await (const { data } of stream(path, options)) {
    const { image_index: index = 0, output_format: format = "png" } = data;
    if (data.type.endsWith(".failed")) {
      entry.failure(index, new ApiError(data.error.message, { code: data.error.code }));
      continue;
    }
    const blob = blobOf(data.b64_json, `image/${format}`);
    if (data.type.endsWith(".partial_image")) {
      entry.preview(index, blob);
    } else {
      const { size, usage } = data;
      entry.info({ size, usage });
      if (usage.cost != null) {
        // Each image has its own part of the cost.
        cost += usage.cost;
        entry.info({ cost: String(cost) });
      }
      entry.image(index, { blob, format, revisedPrompt: data.revised_prompt });
    }
  }
}
