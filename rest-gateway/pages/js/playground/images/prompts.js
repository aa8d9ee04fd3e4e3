// The prompts that were used before, in the session storage.
import { h, replace } from "../../dom.js";
import { load, save } from "../shared/session.js";

const MAX_PROMPTS = 50;

/// Returns `{ element, add(prompt) }`. `onselect(prompt)` takes a prompt from the list.
export function promptHistory(onselect) {
  let prompts = load("image-prompts", []);
  const list = h("ul", { class: "prompts", role: "list" });
  const element = h("details", { class: "prompt-history" }, h("summary", { t: "images.history" }), list);
  const show = () => {
    element.hidden = prompts.length === 0;
    replace(
      list,
      prompts.map((prompt) =>
        h(
          "li",
          {},
          h(
            "button",
            {
              class: "prompts-entry",
              type: "button",
              title: prompt,
              onclick: () => {
                element.open = false;
                onselect(prompt);
              },
            },
            prompt,
          ),
        ),
      ),
    );
  };
  const add = (prompt) => {
    prompts = [prompt, ...prompts.filter((other) => other !== prompt)].slice(0, MAX_PROMPTS);
    save("image-prompts", prompts);
    show();
  };
  show();
  return { element, add };
}
