// Which tables of this page cannot be read at this width, as sentences, and how many
// there are and are shown as lists.
(() => {
  for (const details of document.querySelectorAll("details")) {
    details.open = true;
  }
  const seen = { Tables: 0, Stacked: 0, Wrong: [] };
  for (const table of document.querySelectorAll("table")) {
    if (!table.checkVisibility()) {
      continue;
    }
    seen.Tables++;
    const box = table.closest(".scroll");
    const name = box?.getAttribute("aria-label") ?? table.outerHTML.slice(0, 60);
    if (!box) {
      seen.Wrong.push(`${name}: what does not fit cannot be scrolled to`);
      continue;
    }
    if (box.scrollWidth > box.clientWidth + 1) {
      seen.Wrong.push(`${name} is ${box.scrollWidth} wide in ${box.clientWidth}`);
    }
    const edge = box.getBoundingClientRect();
    if (edge.left < -1 || edge.right > innerWidth + 1) {
      seen.Wrong.push(`${name} is not within the page`);
    }
    const cells = [...table.querySelectorAll("tbody td")].filter((cell) => cell.checkVisibility());
    for (const cell of cells) {
      const at = cell.getBoundingClientRect();
      if (at.right > edge.right + 1 || at.left < edge.left - 1) {
        seen.Wrong.push(`${name}: "${cell.innerText.slice(0, 30)}" is beyond its edge`);
        break;
      }
    }
    if (getComputedStyle(table).display !== "block") {
      continue;
    }
    seen.Stacked++;
    const mute = cells.find((cell) => cell.innerText.trim() && !cell.dataset.label && !cell.matches(".doing"));
    if (mute) {
      seen.Wrong.push(`${name}: nobody says what "${mute.innerText.slice(0, 30)}" is`);
    }
  }
  return seen;
})();
