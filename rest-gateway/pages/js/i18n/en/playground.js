// Texts of the page "playground".
export default {
  "playground.title": "Playground",
  "playground.lead": "Try every model of this gateway: chat, images and videos.",
  "playground.panels": "Panel",
};
