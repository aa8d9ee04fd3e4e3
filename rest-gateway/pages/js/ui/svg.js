// Builds elements of SVG.

const SVG = "http://www.w3.org/2000/svg";

/// Creates an element of SVG with attributes. Children are elements or texts.
export function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes ?? {})) element.setAttribute(name, value);
  element.append(...children);
  return element;
}
