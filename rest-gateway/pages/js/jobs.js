// The page "jobs": the list of all videos, or the details of the one in the fragment of the URL.
import { h } from "./dom.js";
import { videoDetails } from "./jobs/details.js";
import { videoList } from "./jobs/list.js";
import { startPage } from "./shell.js";

await startPage("jobs", { texts: ["video"] });

const list = videoList({ onopen: open });
const detailsContainer = h("div", { hidden: true });
let details = null;
/// The scroll position of the list when a video was opened.
let scrolled = 0;

function open(id) {
  location.hash = id;
}

function show() {
  const id = decodeURIComponent(location.hash.slice(1));
  const closed = details?.id;
  details?.close();
  details = null;
  const isOpen = id.startsWith("video_");
  if (isOpen && !closed) scrolled = scrollY;
  list.element.hidden = isOpen;
  detailsContainer.hidden = !isOpen;
  detailsContainer.replaceChildren();
  if (!isOpen) {
    if (!closed) return;
    scrollTo(0, scrolled);
    const link = document.querySelector(`[data-job="${CSS.escape(closed)}"] a`);
    (link ?? document.getElementById("main")).focus({ preventScroll: true });
    return;
  }
  details = videoDetails(id, {
    onchange: list.update,
    oncreated(video) {
      list.add(video);
      open(video.id);
    },
    ondeleted() {
      list.remove(id);
      location.hash = "";
    },
  });
  detailsContainer.append(details.element);
  scrollTo(0, 0);
  details.focus();
}

addEventListener("hashchange", show);
document.getElementById("jobs").append(list.element, detailsContainer);
show();
