// Makes passkeys and signs in with them. Pages that need no passkey work without this file.
(() => {
  "use strict";

  const error = document.querySelector("[data-error]");
  const say = (text) => {
    error.textContent = text;
    error.hidden = !text;
    if (text) error.focus();
  };
  if (!window.PublicKeyCredential) {
    for (const item of document.querySelectorAll("[data-unsupported]")) item.hidden = false;
    return;
  }

  const bytes = (text) => {
    const plain = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
    return Uint8Array.from(plain, (c) => c.charCodeAt(0));
  };
  const text = (buffer) => {
    const plain = String.fromCharCode(...new Uint8Array(buffer));
    return btoa(plain).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  };
  const listed = (list) => (list || []).map((known) => ({ ...known, id: bytes(known.id) }));
  const forCreating = (options) => ({
    ...options,
    challenge: bytes(options.challenge),
    user: { ...options.user, id: bytes(options.user.id) },
    excludeCredentials: listed(options.excludeCredentials),
  });
  const forUsing = (options) => ({
    ...options,
    challenge: bytes(options.challenge),
    allowCredentials: listed(options.allowCredentials),
  });
  const told = (credential) => {
    const from = credential.response;
    const response = { clientDataJSON: text(from.clientDataJSON) };
    if (from.attestationObject) {
      response.attestationObject = text(from.attestationObject);
      if (from.getTransports) response.transports = from.getTransports();
    } else {
      response.authenticatorData = text(from.authenticatorData);
      response.signature = text(from.signature);
      if (from.userHandle) response.userHandle = text(from.userHandle);
    }
    return {
      id: credential.id,
      rawId: text(credential.rawId),
      type: credential.type,
      response,
      clientExtensionResults: credential.getClientExtensionResults(),
    };
  };

  const call = async (url, authorization, body) => {
    const headers = { "content-type": "application/json" };
    if (authorization) headers.authorization = authorization;
    const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify(body), credentials: "same-origin" });
    let content = {};
    try {
      content = await answer.json();
    } catch {
      // Some refusals are plain text.
    }
    return { status: answer.status, data: content.data || {} };
  };
  const basic = (name, password) => {
    const plain = String.fromCharCode(...new TextEncoder().encode(`${name}:${password}`));
    return `Basic ${btoa(plain)}`;
  };

  const actions = {
    async prove(form) {
      const { email, password } = form.elements;
      const { state, url, next } = form.dataset;
      const { status, data } = await call(url, basic(email.value.trim(), password.value), { state });
      if (status !== 201 || data.state !== state) {
        return say(status === 429 ? "Too many attempts. Wait a minute and try again." : "That email and password don’t match.");
      }
      location.assign(`${next}?${new URLSearchParams({ token: data.jti, state })}`);
    },
    async make(form) {
      const { bind, finish, token, state, account, group } = form.dataset;
      const begun = await call(bind, `Bearer ${token}`, { state });
      if (begun.status === 401) return say("This page has expired. Begin again.");
      if (begun.status !== 200) return say("No passkey can be made at the moment.");
      let credential;
      try {
        credential = await navigator.credentials.create({ publicKey: forCreating(begun.data.registrationOptions) });
      } catch (cause) {
        return say(cause.name === "InvalidStateError" ? "This device has a passkey for you already." : "No passkey was made. You can try again.");
      }
      const body = { state, credential: told(credential), name: form.elements.name.value };
      const kept = await call(finish, `Bearer ${token}`, body);
      if (kept.status !== 200) return say("The passkey could not be verified. Begin again.");
      try {
        const marker = { webauthn: true, accountId: account, authGroup: group, host: location.host, created: Date.now() };
        localStorage.setItem(`${location.host}:${group}:${account}`, JSON.stringify(marker));
      } catch {
        // Storage may be switched off; the passkey works all the same.
      }
      say("");
      for (const part of document.querySelectorAll("[data-step]")) part.hidden = part.dataset.step !== "done";
    },
  };
  for (const form of document.querySelectorAll("form[data-passkey]")) {
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (form.dataset.busy) return;
      form.dataset.busy = "yes";
      try {
        await actions[form.dataset.passkey](form);
      } catch {
        say("The server could not be reached. Try again.");
      } finally {
        delete form.dataset.busy;
        delete form.dataset.sent;
        form.removeAttribute("aria-busy");
      }
    });
  }

  // Signing in: by the button, or from what the browser offers in the name field.
  const login = document.querySelector("form[data-passkey-login]");
  if (!login) return;
  const RENEW = 240000;
  let offer = null;
  const use = async (mediation, signal) => {
    const { status, data } = await call(login.dataset.passkeyLogin, "", { csrf: login.elements.csrf.value });
    if (status !== 200) throw new Error("no challenge");
    return navigator.credentials.get({ publicKey: forUsing(data.assertionOptions), mediation, signal });
  };
  const send = (credential) => {
    clearInterval(renewal);
    login.elements.passkeyCredentials.value = JSON.stringify(told(credential));
    login.requestSubmit();
  };
  const withdraw = () => {
    if (offer) offer.abort();
    offer = null;
  };
  const autofill = async () => {
    const conditional = PublicKeyCredential.isConditionalMediationAvailable;
    if (!conditional || !(await PublicKeyCredential.isConditionalMediationAvailable())) return;
    withdraw();
    const mine = new AbortController();
    offer = mine;
    try {
      send(await use("conditional", mine.signal));
    } catch {
      // Withdrawn, or nothing chosen: the form is still there.
    }
  };
  // The challenge ends before a page does that somebody leaves open.
  const renewal = setInterval(() => offer && autofill(), RENEW);

  const button = login.querySelector("[data-passkey-button]");
  const note = document.querySelector("[data-passkey-note]");
  login.hidden = false;
  button.addEventListener("click", async () => {
    if (button.disabled) return;
    button.disabled = true;
    note.hidden = true;
    withdraw();
    try {
      send(await use("optional"));
    } catch {
      note.hidden = false;
      note.focus();
      autofill();
    } finally {
      button.disabled = false;
    }
  });
  autofill();
})();
