// The base URL, and whether the gateway is ready.
import { url } from "../base.js";
import { h, replace } from "../dom.js";
import { copyButton } from "../ui/copy.js";
import { badge } from "../ui/status.js";

/// The interval of the checks in milliseconds, while the page is visible.
const INTERVAL = 15_000;

export function mountConnection(root) {
  const base = url("v1");
  const state = h("span", { role: "status" });
  root.append(
    h(
      "div",
      { class: "connection" },
      h("span", { class: "small muted", t: "overview.baseUrl" }),
      h("code", { class: "connection-url" }, base),
      copyButton(() => base, { label: "overview.copyBaseUrl" }),
      state,
    ),
  );
  let shown = "";
  const show = async () => {
    if (document.hidden) return;
    const [text, kind, message] = await readiness();
    // Unchanged, so that a screen reader does not read it out again.
    if (shown === `${text} ${message}`) return;
    shown = `${text} ${message}`;
    replace(state, badge(text, kind));
    state.title = message;
  };
  show();
  setInterval(show, INTERVAL);
  document.addEventListener("visibilitychange", show);
}

/// Returns the key of a text, the kind of its badge, and the message of the gateway.
async function readiness() {
  try {
    const response = await fetch(url("readyz"), { cache: "no-store" });
    if (response.ok) return ["overview.ready", "good", ""];
    const { message = "" } = await response.json();
    return ["overview.notReady", "bad", message];
  } catch {
    return ["overview.unreachable", "bad", ""];
  }
}
