// The playground: a tab with a panel for each modality. The tab is in the fragment of the URL, so that it can be linked to.
import { startPage } from "../shell.js";
import { tabs } from "../ui/tabs.js";
import { mountChat } from "./chat.js";
import { mountImages } from "./images.js";
import { mountVideos } from "./videos.js";

await startPage("playground", { texts: ["chat", "images"] });

const MOUNTS = { chat: mountChat, images: mountImages, videos: mountVideos };

/// The element of each panel that was opened. It is kept, so that a running call survives a change of the tab.
const opened = new Map();

function selectedTab() {
  const name = location.hash.slice(1);
  return name in MOUNTS ? name : "chat";
}

const { list, panel, select } = tabs({
  label: "playground.panels",
  isSegmented: true,
  selected: selectedTab(),
  tabs: [
    { id: "chat", t: "modality.chat" },
    { id: "images", t: "modality.image" },
    { id: "videos", t: "modality.video" },
  ],
  onselect(id, container) {
    if (!opened.has(id)) {
      const root = document.createElement("div");
      opened.set(id, root);
      MOUNTS[id](root);
    }
    container.replaceChildren(opened.get(id));
    if (selectedTab() !== id) history.replaceState(null, "", `#${id}`);
  },
});
addEventListener("hashchange", () => select(selectedTab()));
document.getElementById("playground").append(list, panel);
