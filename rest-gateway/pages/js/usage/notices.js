// Notices for a gateway without API keys, and for a page without a key.
import { h } from "../dom.js";
import { askForKey, getKey } from "../key.js";
import { codeBlock } from "../ui/copy.js";
import { emptyState } from "../ui/status.js";

const EXAMPLE = `[[teams]]
name = "research"
limits = { budget_per_month = "500" }

[[keys]]
name = "ops"
secret_env = "OPS_KEY"    # the environment variable with the secret of at least 16 characters
admin = true

[[keys]]
name = "alice"
secret_env = "ALICE_KEY"
team = "research"
limits = { budget_per_day = "10", requests_per_minute = 120 }

[[prices]]
model = "gpt-4o*"
per_million_input_tokens = "2.50"
per_million_output_tokens = "10"
`;

/// Returns a notice for a gateway without API keys: how to configure keys, budgets and prices.
export function anonymousNotice() {
  return h(
    "div",
    { class: "notice anonymous" },
    h("p", { class: "notice-title", t: "usage.anonymous.title" }),
    h("p", { t: "usage.anonymous.text" }),
    h("details", {}, h("summary", { t: "usage.anonymous.how" }), codeBlock(EXAMPLE, { label: "usage.anonymous.code" })),
  );
}

/// Returns the element that is shown instead of the usage while a key is needed.
export function keyNeeded() {
  const button = h("button", {
    class: "button button-primary",
    type: "button",
    t: "key.absent",
    onclick: () => askForKey({ rejected: getKey() }),
  });
  return emptyState("usage.keyNeeded.title", "usage.keyNeeded.text", button);
}
