// 页面“usage”的文字。
export default {
  "usage.title": "用量",
  "usage.lead": "按密钥、团队和模型统计的调用、token 与费用。",
};
