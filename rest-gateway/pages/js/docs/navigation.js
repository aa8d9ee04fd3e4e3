// The list of all operations and sections, with a filter.
import { h, replace, uniqueId } from "../dom.js";
import { t } from "../i18n.js";
import { methodBadge } from "./operation.js";
import { members, normalize } from "./schema.js";

/// From this width on, the list is beside the text.
const WIDE = matchMedia("(min-width: 62.01rem)");

/// Shows the list. Returns `{ select }`, which marks the entry with an id. `sections` are `[id, key of the title]`.
export function mountNavigation(root, api, sections) {
  const entries = [];
  const entry = (id, words, title, ...content) => {
    const link = h("a", { class: "nav-link", href: `#${id}`, title }, content);
    const item = h("li", {}, link);
    entries.push({ id, link, item, words });
    return item;
  };
  const group = (title, items) => {
    const id = uniqueId("group");
    return h(
      "section",
      { class: "nav-group", "aria-labelledby": id },
      h("h3", { id, class: "nav-title", t: title }),
      h("ul", { class: "nav-list", role: "list" }, items),
    );
  };
  const groups = [
    group("docs.start", [entry("start", () => t("docs.start.title"), null, h("span", { t: "docs.start.title" }))]),
    ...api.tags.map((tag) =>
      group(
        `docs.tag.${tag}`,
        api.operations
          .filter((operation) => operation.tag === tag)
          .map((operation) =>
            entry(
              operation.id,
              memoize(() => wordsOf(api, operation)),
              operation.path,
              methodBadge(operation.method),
              h("span", { lang: "en" }, operation.summary),
            ),
          ),
      ),
    ),
    group(
      "docs.grpc",
      sections.map(([id, title]) => entry(id, () => `grpc ${t(title)}`, null, h("span", { t: title }))),
    ),
  ];

  const filter = h("input", { class: "input", type: "search", id: uniqueId("filter"), autocomplete: "off" });
  const found = h("p", { class: "small muted nav-found", role: "status" });
  filter.addEventListener("input", () => {
    const wanted = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const { item, words } of entries) {
      const text = words().toLowerCase();
      item.hidden = !wanted.every((word) => text.includes(word));
      if (!item.hidden) count += 1;
    }
    for (const element of groups) element.hidden = !element.querySelector("li:not([hidden])");
    replace(found, wanted.length > 0 && h("span", { t: ["docs.found", { n: count }] }));
  });

  const menu = h(
    "details",
    { class: "docs-menu" },
    h("summary", { class: "button", t: "docs.menu" }),
    h(
      "nav",
      { class: "docs-nav", tAttrs: { "aria-label": "docs.menu" } },
      h(
        "div",
        { class: "field nav-filter" },
        h("label", { class: "field-label", for: filter.id, t: "docs.filter" }),
        filter,
        found,
      ),
      groups,
    ),
  );
  const show = () => {
    menu.open = WIDE.matches;
  };
  WIDE.addEventListener("change", show);
  show();
  root.append(menu);
  return {
    select(id) {
      if (!WIDE.matches) menu.open = false;
      for (const entry of entries) {
        if (entry.id !== id) entry.link.removeAttribute("aria-current");
        else {
          entry.link.setAttribute("aria-current", "true");
          // In the list only, which scrolls on wide screens: the page stays where it is.
          if (WIDE.matches) revealIn(root.querySelector(".docs-nav"), entry.item);
        }
      }
    },
  };
}

function revealIn(list, item) {
  const [outer, inner] = [list.getBoundingClientRect(), item.getBoundingClientRect()];
  if (inner.top < outer.top || inner.bottom > outer.bottom) list.scrollTop += inner.top - outer.top - outer.height / 3;
}

/// Returns the words by which an operation is found: also the names of its parameters and of the members of its body.
function wordsOf(api, operation) {
  const bodies = Object.values(operation.requestBody?.content ?? {});
  const names = bodies.flatMap(({ schema }) => members(api, normalize(api, schema)).map(([name]) => name));
  const { id, method, path, tag, summary, description, parameters } = operation;
  return [id, method, path, tag, summary, description, ...parameters.map(({ name }) => name), ...names].join(" ");
}

function memoize(compute) {
  let value;
  return () => (value ??= compute());
}
