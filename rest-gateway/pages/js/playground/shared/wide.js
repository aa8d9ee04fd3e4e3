// Parameters that are open beside the result on wide screens, and closed above it on narrow ones.

/// The width from which the cards are side by side, as in `css/playground.css`.
const WIDE = matchMedia("(min-width: 62.01rem)");

/// Opens a `details` element while the screen is wide. Returns the element.
export function openWhenWide(details) {
  const show = () => {
    details.open = WIDE.matches;
  };
  WIDE.addEventListener("change", show);
  show();
  return details;
}
