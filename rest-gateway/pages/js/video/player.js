// A completed video: player, frames of its spritesheet, and files to download.
import { mediaUrl } from "../api.js";
import { h } from "../dom.js";
import { icon } from "../ui/icons.js";

/// The spritesheet has this number of frames in each direction, at even times.
const GRID = 4;

/// Returns the player of a completed video, with its frames below. Files that are missing in the media store are left out.
export function videoPlayer(video) {
  if (!video.video_url) return h("p", { class: "notice notice-warn", t: "video.file.missing" });
  const player = h("video", {
    class: "player",
    src: mediaUrl(video.video_url),
    poster: video.thumbnail_url ? mediaUrl(video.thumbnail_url) : null,
    controls: true,
    playsinline: true,
    loop: true,
    preload: "metadata",
    tAttrs: { "aria-label": ["video.player", { prompt: video.prompt }] },
  });
  const [width, height] = video.size.split("x").map(Number);
  if (width && height) player.style.aspectRatio = `${width} / ${height}`;
  const missing = h("p", { class: "notice notice-warn", role: "alert", t: "video.file.missing", hidden: true });
  player.addEventListener("error", () => {
    missing.hidden = false;
  });
  return h("div", { class: "player-box" }, player, missing, video.spritesheet_url && frameStrip(video, player));
}

/// The frames of the spritesheet as buttons that seek. One stop of the tab key; arrow keys move between them.
function frameStrip(video, player) {
  const link = mediaUrl(video.spritesheet_url);
  const seconds = Number(video.seconds);
  const [width, height] = video.size.split("x").map(Number);
  const buttons = Array.from({ length: GRID * GRID }, (_, index) => {
    const time = (seconds * index) / (GRID * GRID);
    const button = h("button", {
      class: "frame",
      type: "button",
      tabindex: index === 0 ? "0" : "-1",
      tAttrs: { "aria-label": ["video.frame", { seconds: time.toFixed(1) }] },
      onclick() {
        player.currentTime = time;
      },
    });
    if (width && height) button.style.aspectRatio = `${width} / ${height}`;
    button.style.backgroundImage = `url("${link}")`;
    const step = 100 / (GRID - 1);
    button.style.backgroundPosition = `${(index % GRID) * step}% ${Math.floor(index / GRID) * step}%`;
    return button;
  });
  const move = (event) => {
    const at = buttons.indexOf(document.activeElement);
    const next = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
    if (at < 0 || !buttons[next]) return;
    event.preventDefault();
    buttons[at].tabIndex = -1;
    buttons[next].tabIndex = 0;
    buttons[next].focus();
  };
  return h(
    "div",
    { class: "frame-strip", role: "group", tAttrs: { "aria-label": "video.frames" }, onkeydown: move },
    buttons,
  );
}

/// Returns links to the files of a completed video.
export function downloadLinks({ id, video_url: file, thumbnail_url: thumbnail, spritesheet_url: spritesheet }) {
  const link = (target, name, text) =>
    target &&
    h(
      "a",
      { class: "button button-small", href: mediaUrl(target), download: name },
      icon("download"),
      h("span", { t: text }),
    );
  return [
    link(file, `${id}.mp4`, "video.download"),
    link(thumbnail, `${id}-thumbnail.jpg`, "video.download.thumbnail"),
    link(spritesheet, `${id}-spritesheet.jpg`, "video.download.spritesheet"),
  ];
}
