// Failed calls, with advice.
import { h } from "../../dom.js";
import { errorNotice } from "../../ui/status.js";

/// Returns a message about a failed call, with advice and, if a repetition makes sense, a button for it.
export function failureNotice(error, onretry) {
  const [advice, canRetry] = adviceFor(error);
  const notice = errorNotice(error);
  notice.append(
    h("p", { class: "failure-advice", t: advice }),
    canRetry && onretry
      ? h(
          "p",
          {},
          h("button", { class: "button button-small", type: "button", t: "common.retry", onclick: () => onretry() }),
        )
      : "",
  );
  return notice;
}

/// Returns the text for an error, and whether the same call can succeed later.
function adviceFor({ status, code, retryAfter }) {
  if (code === "network") return ["playground.advice.network", true];
  if (code === "model_not_found") return ["playground.advice.model", false];
  if (code === "content_policy_violation") return ["playground.advice.policy", false];
  if (code === "budget_exceeded" || code === "insufficient_quota") return ["playground.advice.budget", false];
  if (status === 401) return ["playground.advice.key", true];
  if (status === 403) return ["playground.advice.permission", false];
  if (status === 413) return ["playground.advice.large", false];
  if (status === 429 && retryAfter) return [["playground.advice.wait", { seconds: retryAfter }], true];
  if (status === 429) return ["playground.advice.busy", true];
  if (status === 501) return ["playground.advice.unsupported", false];
  if (status >= 400 && status < 500) return ["playground.advice.request", false];
  return ["playground.advice.server", true];
}
