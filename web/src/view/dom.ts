/** The element with this id, which the HTML promises. */
export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  const element = document.getElementById(id);
  if (!element) throw new Error(`the page has no #${id}`);
  return element as T;
}

export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className = "",
  text = "",
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** A symbol of the page as a picture without words. */
export function icon(symbol: string, className = "icon"): SVGSVGElement {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", className);
  svg.setAttribute("aria-hidden", "true");
  svg.appendChild(document.createElementNS(SVG, "use")).setAttribute("href", `#i-${symbol}`);
  return svg;
}

/** Show another symbol of index.html in the icon inside `parent`. */
export function setIcon(parent: HTMLElement, symbol: string): void {
  parent.querySelector("use")?.setAttribute("href", `#i-${symbol}`);
}

/** localStorage, or null where the browser blocks it. */
export function storage(): Storage | null {
  try {
    return window.localStorage;
  } catch {
    return null;
  }
}
