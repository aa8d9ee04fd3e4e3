// Tries images: one image with the default parameters of the model.
import { mediaUrl, requestJson } from "../api.js";
import { h, replace } from "../dom.js";

export async function tryImage({ model, prompt, output, signal }) {
  replace(
    output,
    h(
      "p",
      { class: "try-working small muted", role: "status" },
      h("span", { class: "spinner" }),
      h("span", { t: "overview.working.image" }),
    ),
  );
  try {
    const { data, output_format: format = "png" } = await requestJson("v1/images/generations", {
      json: { model: model.id, prompt },
      signal,
    });
    const source = data[0].url ? mediaUrl(data[0].url) : `data:image/${format};base64,${data[0].b64_json}`;
    const image = h("img", { class: "try-picture", src: source, tAttrs: { alt: ["overview.imageAlt", { prompt }] } });
    await image.decode();
    replace(
      output,
      h(
        "figure",
        { class: "stack" },
        image,
        h(
          "figcaption",
          { class: "row small" },
          h("a", { href: source, target: "_blank", rel: "noopener", t: "overview.open" }),
          h("a", { href: source, download: "", t: "overview.download" }),
        ),
      ),
    );
  } catch (error) {
    replace(output);
    throw error;
  }
}
