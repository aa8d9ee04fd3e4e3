// Texts of the page "docs".
export default {
  "docs.title": "Documentation",
  "docs.lead": "The REST API and the gRPC services of this gateway.",
};
