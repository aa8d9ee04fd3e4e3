// Texts of the page "jobs".
export default {
  "jobs.title": "Videos",
  "jobs.lead": "All videos of this gateway, with their progress and files.",
};
