// 页面“playground”的文字。
export default {
  "playground.title": "试用",
  "playground.lead": "试用此网关的全部模型：对话、图像和视频。",
  "playground.panels": "类别",
};
