// The theme: that of the system, light, or dark.

export const THEMES = ["auto", "light", "dark"];

/// Returns the chosen theme.
export function theme() {
  return document.documentElement.dataset.theme ?? "auto";
}

/// Sets and stores the theme.
export function setTheme(theme) {
  const root = document.documentElement;
  if (theme === "auto") delete root.dataset.theme;
  else root.dataset.theme = theme;
  try {
    if (theme === "auto") localStorage.removeItem("triptych.theme");
    else localStorage.setItem("triptych.theme", theme);
  } catch {
    // The choice holds for this page only.
  }
}
