// Tabs, by the pattern of the ARIA Authoring Practices: one stop of the tab key, and arrow keys between the tabs.
import { h, uniqueId } from "../dom.js";

/// Returns `{ list, panel, select }`: the list of tabs, the one panel that they share, and a function that selects a tab.
///
/// `tabs` are `{ id, t }` with the key of the name, or `{ id, text }`. `onselect(id, panel)` fills the panel. `label` is the key of
/// the name of the list.
export function tabs({ tabs, label, selected = tabs[0].id, isSegmented = false, onselect }) {
  const panelId = uniqueId("panel");
  const buttons = tabs.map(({ id, t, text }) =>
    h(
      "button",
      {
        id: uniqueId("tab"),
        class: "tab",
        type: "button",
        role: "tab",
        "aria-controls": panelId,
        t,
        dataset: { tab: id },
        onclick: () => select(id),
      },
      text,
    ),
  );
  const list = h(
    "div",
    {
      class: isSegmented ? "tabs-segmented" : "tabs",
      role: "tablist",
      tAttrs: { "aria-label": label },
      onkeydown: move,
    },
    buttons,
  );
  const panel = h("div", { id: panelId, role: "tabpanel" });

  function select(id) {
    for (const button of buttons) {
      const isSelected = button.dataset.tab === id;
      button.setAttribute("aria-selected", String(isSelected));
      button.tabIndex = isSelected ? 0 : -1;
      if (isSelected) panel.setAttribute("aria-labelledby", button.id);
    }
    onselect(id, panel);
  }

  function move(event) {
    const at = buttons.indexOf(document.activeElement);
    const last = buttons.length - 1;
    const target = { ArrowRight: at === last ? 0 : at + 1, ArrowLeft: at === 0 ? last : at - 1, Home: 0, End: last }[
      event.key
    ];
    if (at < 0 || target === undefined) return;
    event.preventDefault();
    buttons[target].focus();
    select(buttons[target].dataset.tab);
  }

  select(selected);
  return { list, panel, select };
}
