// Makes passkeys and signs in with them. Pages that need no passkey work without this file.
(() => {
  "use strict";

  const { say, step, basic, run } = window.ueauthForms;
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

  // For the other pages that prove somebody by a passkey.
  window.ueauthPasskeys = {
    use: async (options) => told(await navigator.credentials.get({ publicKey: forUsing(options) })),
  };

  const call = (url, authorization, body) =>
    window.ueauthForms.call("POST", url, authorization, body, authorization ? "omit" : "same-origin");

  // Until the device has answered: requests that the server holds open.
  const answered = async (url) => {
    const until = Date.now() + 20 * 60 * 1000;
    while (Date.now() < until) {
      const begun = Date.now();
      const answer = await fetch(`${url}?wait=25`, { credentials: "same-origin", cache: "no-store" });
      if (answer.status === 204) return "approved";
      const state = answer.status === 206 ? (await answer.json()).state : "";
      if (state && state !== "pending") return state;
      if (Date.now() - begun < 2000) await new Promise((done) => setTimeout(done, 2000));
    }
    return "expired";
  };

  // Asks the account's device, and then for the token; with a password for those who have typed one.
  const byDevice = async (form, lookup, authorization) => {
    const { state, challenge, status: answers, url, next } = form.dataset;
    const asked = await call(challenge, "", { state, lookup });
    if (asked.status !== 200 || asked.data.byCode) {
      return say(asked.status === 429 ? "Too many attempts. Wait a minute and try again." : "No device can be asked. Use another way.");
    }
    const { id, accountId, number } = asked.data;
    const note = document.querySelector("[data-device-note]");
    note.textContent = number ? `Enter ${number} on your device.` : "Approve on your device to go on.";
    note.hidden = false;
    say("");
    const outcome = await answered(`${answers}/${encodeURIComponent(id)}/account/${encodeURIComponent(accountId)}/interaction/${encodeURIComponent(state)}/status`);
    note.hidden = true;
    if (outcome !== "approved") {
      return say(outcome === "denied" ? "The device refused." : "The device did not answer in time.");
    }
    const proved = await call(url, authorization, { state, providerKey: id, accountId });
    if (proved.status !== 201 || proved.data.state !== state) return say("It could not be verified that it is you. Begin again.");
    location.assign(`${next}?${new URLSearchParams({ token: proved.data.jti, state })}`);
  };
  // What the account can prove itself by. Ties the state to it.
  const waysOf = async (options, lookup, state) => {
    const answer = await fetch(`${options}?${new URLSearchParams({ lookup, state })}`, { credentials: "same-origin" });
    return answer.ok ? (await answer.json()).data : {};
  };

  const actions = {
    async device(form) {
      const { options, state } = form.dataset;
      const lookup = form.elements.lookup.value.trim();
      // whether there is such an account shows in what follows
      await waysOf(options, lookup, state);
      await byDevice(form, lookup, "");
    },
    async prove(form) {
      const { email, password, code } = form.elements;
      const { state, url, next, options } = form.dataset;
      const lookup = email.value.trim();
      const authorization = basic(lookup, password.value);
      const typed = code && code.value.trim() ? { code: code.value.trim() } : {};
      const { status, data } = await call(url, authorization, { state, ...typed });
      if (status !== 201 || data.state !== state) {
        return say(status === 429 ? "Too many attempts. Wait a minute and try again." : typed.code ? "Password or code are not right." : "That email and password don’t match.");
      }
      // an account with a second factor proves that as well
      if (options && !typed.code) {
        const ways = await waysOf(options, lookup, state);
        if (ways.device && !ways.byCode) return byDevice(form, lookup, authorization);
        if (ways.byCode) {
          document.querySelector("[data-code-box]").hidden = false;
          code.required = true;
          return code.focus();
        }
      }
      location.assign(`${next}?${new URLSearchParams({ token: data.jti, state })}`);
    },
    async make(form) {
      const { bind, finish, token, state, account, group } = form.dataset;
      const begun = await call(bind, `Bearer ${token}`, { state });
      if (begun.status === 401) return say("This page has expired. Begin again.");
      if (begun.status === 403) return say("Your account asks for its device as well. Begin again, with the password and the device.");
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
      step("done");
    },
  };
  run("passkey", actions);

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
