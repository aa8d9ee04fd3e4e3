// The cost and the origin of a video.
import { h } from "../dom.js";
import { dateTime, money } from "../format.js";
import { isFinal } from "../video-events.js";
import { factList } from "../video/facts.js";

/// Returns the money that is reserved for a video in progress, or the cost of a finished one.
export function costFacts(video) {
  const { cost, estimated_cost: estimated, price_version: version } = video;
  if (estimated === undefined && cost === undefined) return h("p", { class: "small muted", t: "jobs.cost.none" });
  const isHeld = !isFinal(video) && cost === undefined;
  const amount = (value) => value !== undefined && h("span", { class: "numeric" }, money(value));
  return factList([
    [isHeld ? "jobs.cost.held" : "jobs.cost.estimated", amount(estimated)],
    ["jobs.cost.settled", amount(cost)],
    ["jobs.cost.version", version && h("span", { class: "mono" }, version)],
  ]);
}

/// Returns the owner of a video, its source, and the time of its deletion. `source` is a link to the source of a remix.
export function originFacts({ owner, expires_at: expires }, source) {
  const pairs = [
    ["jobs.owner", owner === undefined ? null : owner || h("span", { class: "muted", t: "jobs.owner.none" })],
    ["jobs.remixed", source],
    [
      "jobs.expires",
      h("span", { class: "numeric" }, expires ? dateTime(expires) : h("span", { t: "jobs.expires.never" })),
    ],
  ];
  return factList(pairs);
}
