// Applies the stored theme and language before the first paint. A classic script, because modules run after it.
(() => {
  let stored = (_name) => null;
  try {
    localStorage.getItem("triptych.theme");
    stored = (name) => localStorage.getItem(`triptych.${name}`);
  } catch {
    // The browser refuses storage: the defaults apply.
  }
  const root = document.documentElement;
  const theme = stored("theme");
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  const language = stored("language") ?? navigator.languages.find((tag) => /^(en|zh)\b/i.test(tag));
  root.lang = /^zh/i.test(language ?? "") ? "zh" : "en";
})();
