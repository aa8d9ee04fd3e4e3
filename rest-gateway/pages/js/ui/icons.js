// Icons, drawn with lines on a grid of 24 by 24.

const SVG = "http://www.w3.org/2000/svg";

const PATHS = {
  chat: "M4 5h16v11H11l-5 4v-4H4z",
  image: "M4 5h16v14H4z M4 16l5-5 4 4 3-3 4 4 M15.5 9.5h.01",
  video: "M4 6h11v12H4z M15 10.5l5-3v9l-5-3z",
  key: "M14.5 4a5.5 5.5 0 1 1-4.9 8L4 17.6V20h3v-2h2v-2h2l1.5-1.5 M16 8h.01",
  language: "M4 6h9 M8.5 4v2 M11 6c-1 4-3.5 6.5-7 8 M6 9c1 2 3 4 5.5 5 M12.5 20l4-9 4 9 M14 17h5",
  auto: "M12 4a8 8 0 1 0 0 16z M12 4a8 8 0 0 1 0 16",
  light:
    "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8z M12 3v1.5 M12 19.5V21 M3 12h1.5 M19.5 12H21 M5.6 5.6l1.1 1.1 M17.3 17.3l1.1 1.1 M5.6 18.4l1.1-1.1 M17.3 6.7l1.1-1.1",
  dark: "M19.5 14.5A8 8 0 0 1 9.5 4.5a8 8 0 1 0 10 10z",
  copy: "M9 9h10v11H9z M15 9V5H5v11h4",
  check: "M5 12.5l4.5 4.5L19 7.5",
  stop: "M7 7h10v10H7z",
  play: "M8 5.5v13l10-6.5z",
  download: "M12 4v11 M7.5 11l4.5 4.5 4.5-4.5 M5 20h14",
  trash: "M5 7h14 M10 7V4.5h4V7 M7 7l1 13h8l1-13",
  refresh: "M19 12a7 7 0 1 1-2-4.9L19.5 9.5 M19.5 5v4.5H15",
  plus: "M12 5v14 M5 12h14",
  brush: "M19.5 4.5l-8.5 9 M9 13a3.2 3.2 0 0 0-3.3 3.3c0 1.4-.8 2.5-2.2 3.2h5a3.3 3.3 0 0 0 2.9-4.6z",
  undo: "M8 5L4 9l4 4 M4 9h9.5a5 5 0 0 1 0 10H9",
  close: "M6 6l12 12 M18 6L6 18",
  external: "M14 5h5v5 M19 5l-8 8 M17 14v5H5V7h5",
};

/// Returns an icon. It is decoration: the control has a text or a label of its own.
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  const attributes = {
    viewBox: "0 0 24 24",
    fill: "none",
    stroke: "currentColor",
    "stroke-width": "1.75",
    "stroke-linecap": "round",
    "stroke-linejoin": "round",
    "aria-hidden": "true",
    focusable: "false",
  };
  for (const [attribute, value] of Object.entries(attributes)) svg.setAttribute(attribute, value);
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

/// Returns the mark of the project: three hinged panels in their colours.
export function mark() {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 32 32");
  svg.setAttribute("aria-hidden", "true");
  const panels = [
    ["chat", "M3 9.5 10 7v18l-7 2.5z"],
    ["image", "M11.5 5.5h9v20h-9z"],
    ["video", "M22 7l7 2.5v18L22 25z"],
  ];
  for (const [panel, shape] of panels) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", shape);
    path.setAttribute("class", `mark-${panel}`);
    svg.append(path);
  }
  return svg;
}
