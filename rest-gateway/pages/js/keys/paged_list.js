// A list that is loaded page by page.
import { h, replace } from "../dom.js";
import { errorNotice } from "../ui/status.js";

/// Returns `{ element, load(), show(), clear() }`. `load(after)` returns a page of the list, and `view(entries)` its elements.
/// `onerror(error)` returns whether it has handled an error of the first page.
export function pagedList({ load: loadPage, view, onerror = () => false }) {
  let entries = null;
  let next = null;
  /// Counts the loads, so that an older response does not replace a newer one.
  let loads = 0;
  const body = h("div", { tabindex: "-1" });
  const status = h("div", {});
  const more = h("button", {
    class: "button",
    type: "button",
    hidden: true,
    t: "keys.more",
    onclick: () => load(next),
  });
  const element = h("div", { class: "stack" }, body, status, h("p", { class: "paged-more" }, more));

  async function load(after = null) {
    loads += 1;
    const current = loads;
    more.disabled = true;
    if (!entries) replace(status, h("p", { class: "muted small", role: "status", t: "common.loading" }));
    try {
      const page = await loadPage(after);
      if (current !== loads) return;
      entries = after ? [...entries, ...page.data] : page.data;
      next = page.has_more ? page.last_id : null;
      replace(status);
      show();
    } catch (error) {
      if (current !== loads || (!after && onerror(error))) return;
      const retry = h("button", { class: "button", type: "button", t: "common.retry", onclick: () => load(after) });
      replace(status, errorNotice(error), h("p", { class: "retry" }, retry));
    } finally {
      if (current === loads) more.disabled = false;
    }
  }

  function show() {
    if (!entries) return;
    const focused = body.contains(document.activeElement) ? document.activeElement : null;
    replace(body, view(entries));
    if (focused) focusAgain(focused.getAttribute("aria-label"));
    more.hidden = next === null;
  }

  /// Moves the focus to the control that has replaced the focused one, or to the list if its entry is gone.
  function focusAgain(label) {
    const same = [...body.querySelectorAll("button")].find((button) => button.getAttribute("aria-label") === label);
    (same ?? body).focus();
  }

  return {
    element,
    load: () => load(),
    show,
    /// Forgets the entries, for another key.
    clear() {
      loads += 1;
      entries = null;
      next = null;
      more.hidden = true;
      replace(body);
      replace(status);
    },
  };
}
