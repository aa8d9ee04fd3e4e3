// 页面“docs”的文字。
export default {
  "docs.title": "文档",
  "docs.lead": "此网关的 REST API 与 gRPC 服务。",
};
