// What pages share whose forms go to the API: saying what went wrong, steps, requests.
window.ueauthForms = (() => {
  "use strict";

  const error = document.querySelector("[data-error]");
  const say = (text) => {
    error.textContent = text;
    error.hidden = !text;
    if (text) error.focus();
  };
  const step = (name) => {
    for (const part of document.querySelectorAll("[data-step]")) part.hidden = part.dataset.step !== name;
    say("");
  };
  // With "omit" the browser does not ask for a name and a password itself when one is wrong.
  const call = async (method, url, authorization, body, credentials) => {
    const headers = { "content-type": "application/json" };
    if (authorization) headers.authorization = authorization;
    const answer = await fetch(url, { method, headers, body: JSON.stringify(body), credentials });
    let content = {};
    try {
      content = await answer.json();
    } catch {
      // Some refusals are plain text.
    }
    return { status: answer.status, content, data: content.data || {} };
  };
  const basic = (name, password) => {
    const plain = String.fromCharCode(...new TextEncoder().encode(`${name}:${password}`));
    return `Basic ${btoa(plain)}`;
  };
  // Sends forms with that data attribute by the action that it names, one at a time.
  const run = (kind, actions) => {
    for (const form of document.querySelectorAll(`form[data-${kind}]`)) {
      form.addEventListener("submit", async (event) => {
        event.preventDefault();
        if (form.dataset.busy) return;
        form.dataset.busy = "yes";
        try {
          await actions[form.dataset[kind]](form);
        } catch {
          say("The server could not be reached. Try again.");
        } finally {
          delete form.dataset.busy;
          delete form.dataset.sent;
          form.removeAttribute("aria-busy");
        }
      });
    }
  };
  return { say, step, call, basic, run };
})();
