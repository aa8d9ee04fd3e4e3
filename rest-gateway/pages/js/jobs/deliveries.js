// The webhooks that were sent for a video.
import { requestJson } from "../api.js";
import { h, replace } from "../dom.js";
import { dateTime, number, timeOfDay } from "../format.js";
import { badge, errorNotice } from "../ui/status.js";
import { toast } from "../ui/toast.js";

const KINDS = { pending: "busy", succeeded: "good", failed: "bad" };
/// The shortest and the longest time between two reads while a delivery is pending, in milliseconds.
const MIN_DELAY = 3000;
const MAX_DELAY = 60_000;

/// Returns `{ element, load() }`. Nothing is loaded after the signal.
export function deliveriesView(id, signal) {
  const body = h("div", { class: "stack" }, h("p", { class: "small muted", t: "jobs.deliveries.later" }));
  const more = h("button", { class: "button button-small", type: "button", t: "jobs.deliveries.more", hidden: true });
  const element = h(
    "section",
    { class: "card card-body stack" },
    h("h3", { t: "jobs.section.deliveries" }),
    body,
    more,
  );
  const path = `v1/videos/${encodeURIComponent(id)}/deliveries`;
  let deliveries = null;
  let timer = null;
  /// The deliveries whose attempts are unfolded.
  const unfolded = new Set();

  const show = () => {
    if (deliveries === null) return;
    if (deliveries.length === 0) {
      replace(body, h("p", { class: "small muted", t: "jobs.deliveries.empty" }));
      return;
    }
    // The focus would be lost with the button.
    const focused = body.contains(document.activeElement)
      ? document.activeElement.closest("[data-delivery]")?.dataset.delivery
      : null;
    replace(
      body,
      h(
        "ul",
        { class: "deliveries", role: "list" },
        deliveries.map((delivery) => item(delivery, unfolded, redeliver)),
      ),
    );
    if (focused) body.querySelector(`[data-delivery="${CSS.escape(focused)}"] button`)?.focus();
  };

  const load = async () => {
    clearTimeout(timer);
    try {
      const page = await requestJson(`${path}?limit=20`, { signal });
      const older = deliveries?.slice(page.data.length) ?? [];
      deliveries = [...page.data, ...(page.has_more ? older : [])];
      more.hidden = !page.has_more || older.length > 0;
      show();
      const pending = deliveries.filter(({ status }) => status === "pending");
      if (pending.length > 0) timer = setTimeout(load, delayUntilNext(pending));
    } catch (error) {
      if (signal.aborted) return;
      const retry = h("button", { class: "button button-small", type: "button", t: "common.retry", onclick: load });
      replace(body, errorNotice(error), h("p", {}, retry));
    }
  };

  more.addEventListener("click", async () => {
    more.disabled = true;
    try {
      const page = await requestJson(`${path}?limit=100&after=${encodeURIComponent(deliveries.at(-1).id)}`, { signal });
      deliveries.push(...page.data);
      more.hidden = !page.has_more;
      show();
    } catch (error) {
      if (!signal.aborted) toast(["video.action.failed", { message: error.message }], { isError: true });
    }
    more.disabled = false;
  });

  const redeliver = async ({ id: delivery, endpoint_id: endpoint }) => {
    const target = `v1/webhook_endpoints/${encodeURIComponent(endpoint)}/deliveries/${encodeURIComponent(delivery)}/redeliver`;
    try {
      await requestJson(target, { method: "POST", signal });
      toast("jobs.deliveries.queued");
      await load();
    } catch (error) {
      if (!signal.aborted) toast(["video.action.failed", { message: error.message }], { isError: true });
    }
  };

  signal.addEventListener("abort", () => clearTimeout(timer));
  document.addEventListener("languagechange", show, { signal });
  return { element, load };
}

/// Returns the time until the next attempt, within the limits.
function delayUntilNext(pending) {
  const next = Math.min(...pending.map(({ next_attempt_at: at }) => at ?? 0)) * 1000 - Date.now();
  return Math.min(Math.max(next, MIN_DELAY), MAX_DELAY);
}

function item(delivery, unfolded, redeliver) {
  const { id, status, event_type: type, url, attempts, next_attempt_at: next, created_at: created, test } = delivery;
  const details = h(
    "details",
    {
      class: "attempts",
      open: unfolded.has(id),
      ontoggle: () => (details.open ? unfolded.add(id) : unfolded.delete(id)),
    },
    h("summary", { t: ["jobs.attempts", { n: attempts.length }] }),
    h("ol", { class: "attempt-list numeric" }, attempts.map(attemptItem)),
  );
  return h(
    "li",
    { class: "delivery", dataset: { delivery: id } },
    h(
      "div",
      { class: "row spread" },
      h(
        "span",
        { class: "row" },
        badge(`jobs.delivery.${status}`, KINDS[status]),
        h("span", { class: "mono" }, type),
        test && badge("jobs.delivery.test"),
      ),
      h("button", {
        class: "button button-small",
        type: "button",
        t: "jobs.deliveries.again",
        disabled: status === "pending",
        onclick: () => redeliver(delivery),
      }),
    ),
    h("p", { class: "small delivery-url" }, url),
    h(
      "p",
      { class: "small muted numeric" },
      dateTime(created),
      next && h("span", { t: ["jobs.deliveries.next", { time: timeOfDay(next) }] }),
    ),
    attempts.length > 0 && details,
  );
}

function attemptItem({ started_at: at, duration_ms: milliseconds, http_status: status, error }) {
  return h(
    "li",
    {},
    `${timeOfDay(at)} · ${status ? `HTTP ${status} · ` : ""}${number(milliseconds)} ms`,
    error && h("span", { class: "muted" }, ` · ${error}`),
  );
}
