// The frame of every page: header with navigation and switches, and footer.
import { url } from "./base.js";
import { h, replace } from "./dom.js";
import { language, LANGUAGES, loadTexts, setLanguage, t, translateElement, translateTree } from "./i18n.js";
import { editKey, getKey } from "./key.js";
import { setTheme, theme, THEMES } from "./theme.js";
import { icon, mark } from "./ui/icons.js";

/// The pages, in the order of the navigation. The paths are relative to the overview.
const PAGES = [
  { page: "overview", path: "./" },
  { page: "playground", path: "playground" },
  { page: "jobs", path: "jobs" },
  { page: "usage", path: "usage" },
  { page: "docs", path: "docs" },
];

/// Loads the texts of the page, and builds its header and footer. Call it first in the module of a page. `texts` are further areas
/// of texts.
export async function startPage(page, { texts = [] } = {}) {
  await loadTexts(page, ...texts);
  const main = document.getElementById("main");
  main.before(h("a", { class: "skip-link", href: "#main", t: "shell.skip", onclick: skip }), header(page));
  main.after(footer());
  translateTree(document);
  document.documentElement.dataset.page = page;
}

/// Moves the focus to the content. The fragment of the URL stays as it is: pages keep their state there.
function skip(event) {
  event.preventDefault();
  const main = document.getElementById("main");
  main.focus();
  main.scrollIntoView();
}

function header(current) {
  const links = PAGES.map(({ page, path }) =>
    h("li", {}, h("a", { href: url(path), "aria-current": page === current ? "page" : null, t: `shell.nav.${page}` })),
  );
  return h(
    "header",
    { class: "site-header" },
    h(
      "div",
      { class: "site-header-inner" },
      h("a", { class: "brand", href: url("./"), tAttrs: { "aria-label": "shell.home" } }, mark(), "Triptych"),
      h(
        "nav",
        { class: "site-nav", tAttrs: { "aria-label": "shell.navigation" } },
        h("ul", { role: "list", class: "site-nav-list" }, links),
      ),
      h("div", { class: "site-tools" }, keyButton(), languageButton(), themeButton()),
    ),
  );
}

function keyButton() {
  const button = h(
    "button",
    { class: "button button-quiet button-icon", type: "button", id: "key-button", onclick: () => editKey() },
    icon("key"),
  );
  const show = () => {
    const label = getKey() ? "key.present" : "key.absent";
    button.dataset.i18nAttrs = JSON.stringify({ "aria-label": label, title: label });
    button.classList.toggle("has-key", Boolean(getKey()));
    translateElement(button);
  };
  document.addEventListener("keychange", show);
  show();
  return button;
}

function languageButton() {
  const names = { en: "English", zh: "中文" };
  const button = h("button", { class: "button button-quiet", type: "button", id: "language-button" });
  const next = () => LANGUAGES[(LANGUAGES.indexOf(language()) + 1) % LANGUAGES.length];
  const show = () => {
    replace(button, names[next()]);
    button.lang = next();
  };
  button.addEventListener("click", () => setLanguage(next()));
  document.addEventListener("languagechange", show);
  show();
  return button;
}

function themeButton() {
  const button = h("button", { class: "button button-quiet button-icon", type: "button", id: "theme-button" });
  const show = () => {
    const label = t(`shell.theme.${theme()}`);
    button.setAttribute("aria-label", label);
    button.title = label;
    replace(button, icon(theme()));
  };
  button.addEventListener("click", () => {
    setTheme(THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length]);
    show();
  });
  document.addEventListener("languagechange", show);
  show();
  return button;
}

function footer() {
  const version = document.querySelector('meta[name="triptych-version"]')?.content ?? "";
  const links = [
    ["openapi.json", "shell.openapi"],
    ["readyz", "shell.readiness"],
    ["metrics", "shell.metrics"],
  ];
  return h(
    "footer",
    { class: "site-footer" },
    h(
      "div",
      { class: "site-footer-inner" },
      h("p", { class: "numeric" }, `Triptych ${version}`),
      h(
        "ul",
        { class: "site-footer-links", role: "list" },
        links.map(([path, text]) => h("li", {}, h("a", { href: url(path), t: text }))),
      ),
    ),
  );
}
