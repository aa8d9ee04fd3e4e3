// 页面“jobs”的文字。
export default {
  "jobs.title": "视频任务",
  "jobs.lead": "此网关的全部视频、进度及文件。",
};
