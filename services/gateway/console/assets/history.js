// The slider shows an order at another version without loading the whole page: the
// history page of that version is fetched, and its moment put in place of this one.

let wanted = ""; // address of the moment to show next, "" for none
let running = false; // one is fetched; the slider may move on meanwhile

async function show(url) {
  wanted = url;
  if (running) {
    return;
  }
  running = true;
  document.getElementById("moment").setAttribute("aria-busy", "true");
  while (wanted) {
    const asked = wanted;
    wanted = "";
    let page = null;
    try {
      const answer = await fetch(asked, { headers: { Accept: "text/html" } });
      page = new DOMParser().parseFromString(await answer.text(), "text/html");
    } catch {
      // Without an answer the moment stays as it is.
    }
    if (!wanted && page) {
      put(page, asked);
    }
  }
  running = false;
  const moment = document.getElementById("moment");
  moment.removeAttribute("aria-busy");
  document.getElementById("slider").value = moment.dataset.version;
}

function put(page, url) {
  const moment = document.getElementById("moment");
  const fresh = page.getElementById("moment");
  if (!fresh) {
    location.assign(url); // it says itself why it cannot be shown
    return;
  }
  const at = document.activeElement;
  const focus = moment.contains(at) ? at.id : "";
  moment.replaceWith(fresh);
  if (focus) {
    document.getElementById(focus)?.focus({ preventScroll: true });
  }
  document.getElementById("slider").setAttribute("aria-valuetext", fresh.dataset.text);
  document.getElementById("slider-value").textContent = fresh.dataset.version;
}

function address(form, version) {
  const url = new URL(form.action, location.href);
  url.searchParams.set("version", version);
  const compare = document.querySelector("#moment [data-compare]")?.dataset.compare;
  if (compare) {
    url.searchParams.set("compare", compare);
  }
  return url;
}

export function start() {
  const slider = document.getElementById("slider");
  if (!slider) {
    return;
  }
  let following = slider.value === slider.max; // the newest version, whichever it is
  slider.addEventListener("input", () => {
    following = slider.value === slider.max;
    show(address(slider.form, slider.value));
  });
  slider.form.addEventListener("submit", (submit) => {
    submit.preventDefault();
    delete slider.form.dataset.sent;
    show(address(slider.form, slider.value));
  });
  document.addEventListener("click", (click) => {
    const link = click.target.closest("#moment a[data-moment]");
    if (link && !click.ctrlKey && !click.metaKey && !click.shiftKey) {
      click.preventDefault();
      following = new URL(link.href).searchParams.get("version") === slider.max;
      show(link.href);
    }
  });
  // New versions make the slider longer; who looks at the newest one goes on doing so.
  document.addEventListener("orderflow:refreshed", (refreshed) => {
    const fresh = refreshed.detail.getElementById("slider");
    if (!fresh || fresh.max === slider.max) {
      return;
    }
    slider.max = fresh.max;
    document.getElementById("slider-newest").textContent = fresh.max;
    if (following) {
      show(address(slider.form, fresh.max));
    }
  });
}
