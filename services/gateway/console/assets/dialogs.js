// Buttons open and close dialogs by themselves (command and commandfor): one that is
// pressed before this script has been read opens its dialog too. A click beside a
// dialog closes it, as Escape does.

export function start() {
  document.addEventListener("click", (click) => {
    if (click.target.matches("dialog[open]")) {
      click.target.close();
    }
  });
  // "All" of a table picks, or drops, every row.
  document.addEventListener("change", (change) => {
    if (change.target.matches("[data-all]")) {
      for (const box of document.querySelectorAll("input[name=pick]")) {
        box.checked = change.target.checked;
      }
    }
  });
  // A form that was sent is not sent again by a second click; what its command does,
  // it would do once anyway.
  document.addEventListener("submit", (submit) => {
    const form = submit.target;
    if (form.dataset.sent) {
      submit.preventDefault();
      return;
    }
    if (form.method === "post") {
      form.dataset.sent = "true";
      form.querySelectorAll("button[type=submit]").forEach((b) => b.setAttribute("aria-busy", "true"));
    }
  });
  addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) {
      delete form.dataset.sent;
      form.querySelectorAll("[aria-busy]").forEach((b) => b.removeAttribute("aria-busy"));
    }
  });
}
