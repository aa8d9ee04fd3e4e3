// Keeps the end of a growing element in view, unless the reader has scrolled up.

/// How far below the window, in pixels, the end still counts as in view: about two lines.
const NEAR = 48;

/// Returns `{ around(change), toEnd() }`: `around` makes a change, and then follows it if the end of the element was in view before.
export function keepScrolledDown(element) {
  const below = () => element.getBoundingClientRect().bottom - document.documentElement.clientHeight;
  const toEnd = () => {
    if (below() > 0) scrollBy(0, below());
  };
  const around = (change) => {
    const follows = below() < NEAR;
    change();
    if (follows) toEnd();
  };
  return { around, toEnd };
}
