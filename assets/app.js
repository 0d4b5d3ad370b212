// Small comforts. Every page works without this file.
(() => {
  "use strict";

  const eye = (shown) => (shown ? "Hide" : "Show");
  for (const box of document.querySelectorAll(".secret")) {
    const field = box.querySelector("input");
    const button = document.createElement("button");
    button.type = "button";
    button.className = "reveal";
    button.setAttribute("aria-controls", field.id);
    const show = (shown) => {
      field.type = shown ? "text" : "password";
      button.textContent = eye(shown);
      button.setAttribute("aria-label", eye(shown) + " password");
      button.setAttribute("aria-pressed", String(shown));
    };
    show(false);
    button.addEventListener("click", () => show(field.type === "password"));
    // A password left readable would be kept by the browser as ordinary form text.
    field.form.addEventListener("submit", () => show(false));
    box.append(button);
  }

  if (!window.PublicKeyCredential) {
    for (const item of document.querySelectorAll('[data-needs="webauthn"]')) item.hidden = true;
  }

  // A second click would send a form twice while the first answer is on its way.
  const release = (form) => {
    delete form.dataset.sent;
    form.removeAttribute("aria-busy");
  };
  for (const form of document.querySelectorAll('form[method="post"]')) {
    form.addEventListener("submit", (event) => {
      if (form.dataset.sent) event.preventDefault();
      form.dataset.sent = "yes";
      form.setAttribute("aria-busy", "true");
      // An answer may leave the page in place, e.g. one that opens a native application.
      setTimeout(release, 5000, form);
    });
  }
  // Pages that come back from the back-forward cache must be usable again.
  window.addEventListener("pageshow", () => [...document.forms].forEach(release));

  const alert = document.querySelector('.flash[role="alert"]');
  if (alert && !document.querySelector("[autofocus]")) alert.focus();
})();
