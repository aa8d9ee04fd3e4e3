// Translations. The dictionaries are in js/i18n/LANGUAGE/AREA.js: `common` for all pages, and one for each page.

export const LANGUAGES = ["en", "zh"];

/// The texts of the current language, by key.
let texts = {};
/// The areas that the page uses.
const areas = new Set(["common"]);

/// Returns the current language.
export function language() {
  return LANGUAGES.includes(document.documentElement.lang) ? document.documentElement.lang : "en";
}

/// Loads the texts of these areas, in addition to those loaded before.
export async function loadTexts(...names) {
  for (const name of names) areas.add(name);
  texts = await dictionary(language());
}

async function dictionary(language) {
  const modules = await Promise.all([...areas].map((area) => import(`./i18n/${language}/${area}.js`)));
  return Object.assign({}, ...modules.map((module) => module.default));
}

/// Switches the language of the whole page, and stores the choice. Then `languagechange` is dispatched on the document, for texts
/// that are not marked for translation, such as formatted dates.
export async function setLanguage(language) {
  texts = await dictionary(language);
  document.documentElement.lang = language;
  try {
    localStorage.setItem("triptych.language", language);
  } catch {
    // The choice holds for this page only.
  }
  translateTree(document);
  document.dispatchEvent(new CustomEvent("languagechange"));
}

/// Returns the text of a key. `{name}` in a text is replaced by `values.name`. With a number `values.n`, the keys `KEY.one` and
/// `KEY.other` are for its plural forms. A missing key is an error in the console, and tests fail for it.
export function t(key, values = {}) {
  let text = texts[key];
  if (typeof values.n === "number") {
    const form = new Intl.PluralRules(language()).select(values.n);
    text = texts[`${key}.${form}`] ?? texts[`${key}.other`] ?? text;
  }
  if (text === undefined) {
    console.error(`missing text: ${key} (${language()})`);
    return key;
  }
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/// Translates an element that is marked by `data-i18n`, `data-i18n-values` and `data-i18n-attrs`.
export function translateElement(element) {
  const { i18n, i18nValues, i18nAttrs } = element.dataset;
  if (i18n) element.textContent = t(i18n, i18nValues ? JSON.parse(i18nValues) : undefined);
  for (const [attribute, key] of Object.entries(i18nAttrs ? JSON.parse(i18nAttrs) : {})) {
    const [name, values] = Array.isArray(key) ? key : [key];
    element.setAttribute(attribute, t(name, values));
  }
}

/// Translates all marked elements of a document or below an element.
export function translateTree(root) {
  for (const element of root.querySelectorAll("[data-i18n], [data-i18n-attrs]")) translateElement(element);
}
