import { follow } from "./stream.js";

// A page keeps itself current: when its stream tells of an event, the page is
// fetched again and its regions are put in place of the old ones. One fetch runs at
// a time, and not more often than a person can see; what happens meanwhile is shown
// by the next one.

const body = document.body;
const status = document.getElementById("live-status");

const pause = 500; // ms at least from one fetch to the next
const passing = new Set([409, 429, 503]); // answers that a later one may be better than: the view is behind, or too much is asked

let running = null; // promise of the fetches under way
let waiting = false; // another one has to follow
let begun = 0; // when the last one began
let pressed = null; // the element under the pointer while it is down
let later = 0; // timer of a look at what changes without events
let newest = ""; // revision of the newest event that was heard of

function say(state, text) {
  body.dataset.live = state;
  if (status) {
    status.textContent = text;
  }
}

// busy tells that a person is in the middle of something in a region. A button that is
// put in place of the one being pressed would never hear of the click.
function busy(region) {
  if (region.querySelector("dialog[open]") || region.contains(pressed)) {
    return true;
  }
  const at = document.activeElement;
  return region.contains(at) && at.matches("input, select, textarea");
}

const perDrawing = ["command_id", "version"]; // hidden fields that a form has anew each time

// fields lists those of a region that a person may write in, each by a name that it has
// in every drawing: the form's action, what else the form is about, and its own name.
function* fields(region) {
  for (const field of region.querySelectorAll("input:not([type=hidden]), select, textarea")) {
    const about = [...(field.form?.elements ?? [])].filter((e) => e.type === "hidden" && !perDrawing.includes(e.name));
    const name = [field.form?.getAttribute("action"), ...about.map((e) => e.value), field.name, field.id];
    if (ticks(field)) {
      name.push(field.value);
    }
    yield [JSON.stringify(name), field];
  }
}

function ticks(field) {
  return field.type === "checkbox" || field.type === "radio";
}

// written tells that a field has not what it was drawn with.
function written(field) {
  if (ticks(field)) {
    return field.checked !== field.defaultChecked;
  }
  if (field.matches("select")) {
    const drawn = [...field.options].findLastIndex((o) => o.defaultSelected);
    return field.selectedIndex !== Math.max(0, drawn);
  }
  return field.value !== field.defaultValue;
}

// carryOver writes into a new drawing what a person has written in the old one. Hidden
// fields are those of the new one, and so is the version that its forms expect.
function carryOver(old, fresh) {
  const kept = new Map([...fields(old)].filter(([, field]) => written(field)));
  for (const [name, field] of fields(fresh)) {
    const from = kept.get(name);
    if (!from) {
      continue;
    }
    if (ticks(field)) {
      field.checked = from.checked;
    } else if (!field.options || [...field.options].some((o) => o.value === from.value)) {
      field.value = from.value; // of a choice that is gone nothing is kept
    }
  }
}

const focusable = "a[href], button, input, select, textarea, summary, [tabindex]";

// counterpart finds in a new drawing what an element of the old one is there: by its id, or by what it does. Of
// several that do the same it is the one at the same place among them.
function counterpart(at, old, fresh) {
  const does = (e) => {
    const about = [...(e.form?.elements ?? [])].filter((f) => f.type === "hidden" && !perDrawing.includes(f.name));
    const said = e.matches("a, button, summary") ? e.textContent.trim() : e.getAttribute("aria-label");
    return JSON.stringify([e.id || [e.localName, e.form?.getAttribute("action"), about.map((f) => f.value), e.getAttribute("href"), e.getAttribute("name"), said]]);
  };
  const same = (region) => [...region.querySelectorAll(focusable)].filter((e) => does(e) === does(at));
  return same(fresh)[same(old).indexOf(at)];
}

// replace puts a new drawing in place of an old one. Who was on a button or a link goes on there: a key that is pressed
// at that moment is not pressed in vain.
function replace(old, fresh) {
  const open = new Set([...old.querySelectorAll("details[open][id]")].map((d) => d.id));
  const at = document.activeElement;
  const focus = old.contains(at) ? counterpart(at, old, fresh) : null;
  carryOver(old, fresh);
  old.replaceWith(fresh);
  for (const d of fresh.querySelectorAll("details[id]")) {
    d.open = d.open || open.has(d.id);
  }
  focus?.focus({ preventScroll: true });
}

// refresh shows the page as it is now. It returns the document that it was shown
// from, or null when there is none.
function refresh() {
  waiting = true;
  running ??= run().finally(() => {
    running = null;
  });
  return running;
}

async function run() {
  let fresh = null;
  let tries = 0;
  while (waiting) {
    await sleep(begun + pause * 2 ** tries - Date.now());
    waiting = false;
    begun = Date.now();
    const url = new URL(location.href);
    if (newest) {
      url.searchParams.set("after", newest);
    }
    try {
      const answer = await fetch(url, { headers: { Accept: "text/html" }, redirect: "manual" });
      if (answer.type === "opaqueredirect") {
        location.reload(); // who is not signed in any more is led to where he can
        return null;
      }
      if (answer.ok) {
        fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
        put(fresh);
        tries = 0;
      } else if (passing.has(answer.status) && tries < 5) {
        tries++;
        waiting = true;
      } // or else the next event, or the next load, shows it
    } catch {
      // Without an answer the page stays as it is; the stream says when it is back.
    }
  }
  return fresh;
}

function sleep(ms) {
  return new Promise((done) => {
    setTimeout(done, Math.max(0, ms));
  });
}

function put(fresh) {
  for (const region of fresh.querySelectorAll("[data-region]")) {
    const old = document.getElementById(region.id);
    if (!old) {
      continue;
    }
    if (busy(old)) {
      old.dataset.stale = "true";
      continue;
    }
    if (old.innerHTML !== region.innerHTML) {
      replace(old, region);
    }
  }
  lookAgain();
  document.dispatchEvent(new CustomEvent("orderflow:refreshed", { detail: fresh }));
}

// lookAgain refreshes a page on which something moves that no event tells of, such as
// the building of a view.
function lookAgain() {
  clearTimeout(later);
  if (document.querySelector("[data-moving]")) {
    later = setTimeout(refresh, 1000);
  }
}

// idle shows what has happened while a person was busy, once that is over.
function idle() {
  setTimeout(() => {
    const stale = [...document.querySelectorAll("[data-stale]")];
    if (stale.length && !stale.some(busy)) {
      refresh();
    }
  });
}

document.addEventListener("focusout", idle);
document.addEventListener("pointerdown", (down) => {
  pressed = down.target;
});
for (const over of ["pointerup", "pointercancel"]) {
  document.addEventListener(over, () => {
    setTimeout(() => {
      pressed = null; // after the click, which is told of later
      idle();
    });
  });
}

// said shows what has become of the stream. When it is there again the page may have
// missed something.
function said(state) {
  const again = state === "open" && body.dataset.live === "lost";
  say(state, { open: "Live", lost: "Reconnecting …", looking: "Every 5 s" }[state]);
  if (again) {
    refresh();
  }
}

function heard(revision) {
  newest = revision || newest;
  refresh();
}

// renewed reads the page and says how to follow it from there, as if it were loaded now.
async function renewed() {
  newest = "";
  const fresh = await refresh();
  return fresh?.body.dataset.stream ?? "";
}

export function start() {
  // What a redirect had to wait for is no part of the address, and what a form was sent
  // to is none of a page.
  const here = new URL(body.dataset.page ?? location.href, location.href);
  here.searchParams.delete("after");
  if (here.href !== location.href) {
    history.replaceState(null, "", here);
  }
  const url = body.dataset.stream;
  if (!url) {
    return;
  }
  follow(url, { said, heard, renewed });
  lookAgain();
  addEventListener("pagehide", () => {
    clearTimeout(later);
  });
  addEventListener("pageshow", (shown) => {
    if (shown.persisted) { // the page comes back as it was left
      refresh();
    }
  });
}
