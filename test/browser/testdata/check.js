// What is wrong with this page, as a list of sentences.
(() => {
  const wrong = [];
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });

  // The colour as the screen shows it: any notation, as red, green, blue and alpha.
  function rgba(color) {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = color;
    context.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = context.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  }
  function luminance([r, g, b]) {
    const [x, y, z] = [r, g, b].map((v) => {
      const c = v / 255;
      return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  }
  function contrast(a, b) {
    const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
    return (high + 0.05) / (low + 0.05);
  }
  // What is behind an element: the first ground that is not see-through.
  function ground(element) {
    for (let e = element; e; e = e.parentElement) {
      const style = getComputedStyle(e);
      if (e instanceof SVGElement && e.localName === "g") {
        const box = e.querySelector(":scope > rect");
        const fill = box && getComputedStyle(box).fill;
        if (fill && fill !== "none") {
          return rgba(fill);
        }
      }
      const color = rgba(style.backgroundColor);
      if (color[3] === 1) {
        return color;
      }
      if (color[3] > 0) {
        return [255, 0, 255, 1]; // half see-through: nobody knows the contrast
      }
    }
    return [255, 255, 255, 1];
  }
  const seen = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim();
    const element = walker.currentNode.parentElement;
    if (!text || !element.checkVisibility({ visibilityProperty: true, opacityProperty: true }) || element.closest(".unseen, title, script, option")) {
      continue;
    }
    const style = getComputedStyle(element);
    const ink = rgba(element instanceof SVGElement ? style.fill : style.color);
    const behind = ground(element);
    const value = contrast(ink, behind);
    const key = ink + "/" + behind;
    if (value < 4.5 && !seen.has(key)) {
      seen.add(key);
      wrong.push(`"${text.slice(0, 40)}" (${element.className.baseVal ?? element.className}) has a contrast of ${value.toFixed(2)}: ${ink} on ${behind}`);
    }
  }
  // Fields are seen by their edges (3 to 1), and their words read.
  for (const field of document.querySelectorAll("input:not([type=hidden], [type=checkbox], [type=range]), select, textarea, .button:not(.off)")) {
    if (!field.checkVisibility()) {
      continue;
    }
    const style = getComputedStyle(field);
    const own = rgba(style.backgroundColor);
    const around = ground(field.parentElement);
    if (contrast(rgba(style.color), own) < 4.5) {
      wrong.push(`the words of ${field.outerHTML.slice(0, 60)} cannot be read`);
    }
    if (Math.max(contrast(rgba(style.borderTopColor), around), contrast(own, around)) < 3) {
      wrong.push(`the edge of ${field.outerHTML.slice(0, 60)} cannot be seen`);
    }
  }
  if (document.documentElement.scrollWidth > innerWidth) {
    const wide = [...document.querySelectorAll("main *, header *")].find((e) => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".scroll, .machines, nav"));
    wrong.push(`the page is ${document.documentElement.scrollWidth} wide on a screen of ${innerWidth}: ${wide?.outerHTML.slice(0, 120)}`);
  }
  // What who does not see the page is told.
  if (document.querySelectorAll("h1").length !== 1) {
    wrong.push("the page has not one h1");
  }
  for (const field of document.querySelectorAll("input:not([type=hidden]), select, textarea")) {
    if (!field.labels?.length && !field.getAttribute("aria-label")) {
      wrong.push(`nobody says what ${field.outerHTML.slice(0, 80)} is`);
    }
  }
  for (const control of document.querySelectorAll("button, a[href]")) {
    if (!control.textContent.trim() && !control.getAttribute("aria-label")) {
      wrong.push(`nobody says what ${control.outerHTML.slice(0, 80)} does`);
    }
  }
  for (const drawing of document.querySelectorAll("svg")) {
    if (!drawing.getAttribute("aria-label") && drawing.getAttribute("aria-hidden") !== "true") {
      wrong.push("a drawing says nothing to who does not see it");
    }
  }
  const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
  for (const id of new Set(ids.filter((id, i) => ids.indexOf(id) !== i))) {
    wrong.push(`the id ${id} is there twice`);
  }
  // Nothing of what was stored has become an element.
  if (document.querySelector('img, [onerror], [style], body script, script:not([src^="/console/assets/"])')) {
    wrong.push("there is an element that the console does not make");
  }
  return wrong;
})();
