// Texts of the page "usage".
export default {
  "usage.title": "Usage",
  "usage.lead": "Calls, tokens and costs, by key, team and model.",
};
