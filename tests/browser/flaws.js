// What keeps people from reading or using a page, as sentences: a function for `page.evaluate`.
() => {
  const flaws = [];
  const flaw = (what, element) => flaws.push(`${what}: ${element.outerHTML.slice(0, 120)}`);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const shown = (element) =>
    element.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true }) && !element.closest('[aria-hidden="true"]');
  const text = (id) => document.getElementById(id)?.textContent ?? "";
  const name = (element) =>
    (
      element.getAttribute("aria-label") ||
      (element.getAttribute("aria-labelledby") ?? "").split(" ").map(text).join(" ") ||
      element.textContent ||
      element.getAttribute("title") ||
      ""
    ).trim();

  // Structure
  if (!document.documentElement.lang) flaws.push("no language");
  if (!document.title.trim()) flaws.push("no title");
  if (all("main").length !== 1) flaws.push(`${all("main").length} main parts`);
  let level = 0;
  for (const heading of all("h1, h2, h3, h4, h5, h6").filter(shown)) {
    const next = Number(heading.tagName[1]);
    if (next > level + 1) flaw(`a heading of level ${next} after one of level ${level}`, heading);
    if (!name(heading)) flaw("an empty heading", heading);
    level = next;
  }
  if (all("h1").length !== 1) flaws.push(`${all("h1").length} headings of level 1`);
  const ids = all("[id]").map((element) => element.id);
  for (const id of new Set(ids.filter((one, place) => ids.indexOf(one) !== place))) flaws.push(`the id ${id} twice`);

  // Names
  for (const field of all("input:not([type=hidden]), select, textarea").filter(shown)) {
    const labels = [...(field.labels ?? [])].map((label) => label.textContent.trim()).join("");
    if (!labels && !field.getAttribute("aria-label") && !field.getAttribute("aria-labelledby")) flaw("no label", field);
  }
  for (const element of all("a[href], button, summary").filter(shown)) if (!name(element)) flaw("no name", element);
  for (const image of all("img")) if (!image.hasAttribute("alt")) flaw("no alternative", image);
  for (const picture of all("svg:not([aria-hidden='true'], svg svg)")) {
    const called = picture.querySelector(":scope > title") || picture.hasAttribute("aria-label");
    if (!called && !picture.hasAttribute("aria-labelledby")) flaw("no name", picture);
  }
  for (const table of all("table").filter(shown)) {
    if (!table.caption && !table.getAttribute("aria-label") && !table.getAttribute("aria-labelledby")) flaw("no caption", table);
    if (!table.querySelector("th")) flaw("no headings", table);
  }

  // Width
  const page = document.documentElement;
  if (page.scrollWidth > page.clientWidth + 1) flaws.push(`${page.scrollWidth} px wide where ${page.clientWidth} are`);

  for (const table of all("table.listed").filter(shown)) {
    const around = table.parentElement;
    if (around.scrollWidth > around.clientWidth + 1) flaw(`${around.scrollWidth} px wide where ${around.clientWidth} are`, table);
    for (const cell of table.querySelectorAll("tbody td")) if (!cell.dataset.label) flaw("no label where a row is a card", cell);
  }

  // Contrast
  const context = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d", {
    willReadFrequently: true,
  });
  const rgba = (colour) => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = context.getImageData(0, 0, 1, 1).data;
    return [red, green, blue, alpha / 255];
  };
  const over = ([r, g, b, a], below) => [r, g, b].map((one, place) => one * a + below[place] * (1 - a));
  const behind = (element) => {
    const layers = [];
    for (let one = element; one; one = one.parentElement) layers.push(rgba(getComputedStyle(one).backgroundColor));
    const canvas = matchMedia("(prefers-color-scheme: dark)").matches ? [18, 18, 18] : [255, 255, 255];
    return layers.reverse().reduce((below, layer) => over(layer, below), canvas);
  };
  // What is written in a picture may stand upon a shape before it.
  const beneath = (element, below) => {
    const box = element.getBoundingClientRect();
    const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
    const shapes = [...(element.closest("svg")?.querySelectorAll(":scope > circle, :scope > rect") ?? [])];
    const upon = shapes.filter((shape) => {
      const its = shape.getBoundingClientRect();
      const before = shape.compareDocumentPosition(element) & Node.DOCUMENT_POSITION_FOLLOWING;
      return before && its.left <= x && x <= its.right && its.top <= y && y <= its.bottom;
    });
    return upon.reduce((under, shape) => {
      const { fill, fillOpacity } = getComputedStyle(shape);
      if (fill === "none") return under;
      const [r, g, b, alpha] = rgba(fill);
      return over([r, g, b, alpha * Number(fillOpacity)], under);
    }, below);
  };
  const light = (colour) => {
    const [r, g, b] = colour.map((one) => (one / 255 <= 0.04045 ? one / 255 / 12.92 : ((one / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const done = new Set();
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || done.has(element)) continue;
    done.add(element);
    if (!shown(element) || element.closest("script, style, title, option, :disabled, .skip:not(:focus)")) continue;
    const style = getComputedStyle(element);
    const below = beneath(element, behind(element));
    const own = over(rgba(element.closest("svg") ? style.fill : style.color), below);
    const [bright, dark] = [light(own), light(below)].sort((one, other) => other - one);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.6 && Number(style.fontWeight) >= 700);
    const ratio = (bright + 0.05) / (dark + 0.05);
    if (ratio < (large ? 3 : 4.5)) flaw(`a contrast of ${ratio.toFixed(2)}`, element);
  }
  return flaws;
}
