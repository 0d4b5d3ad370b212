// Makes this browser a device that answers challenges. Its key can not leave the browser.
(() => {
  "use strict";

  const root = document.querySelector("[data-device]");
  const find = (name) => document.querySelector(`[data-${name}]`);
  if (!root || !window.crypto || !crypto.subtle || !window.indexedDB) {
    find("unsupported").hidden = false;
    return;
  }
  const { group, api, app, push: pushKey } = root.dataset;
  const error = find("error");
  const say = (text) => {
    error.textContent = text;
    error.hidden = !text;
    if (text) error.focus();
  };
  const show = (step) => {
    for (const part of document.querySelectorAll("[data-step]")) part.hidden = part.dataset.step !== step;
  };

  // what is kept: one entry for each group
  const opened = new Promise((resolve, reject) => {
    const request = indexedDB.open("ueauth-device", 1);
    request.onupgradeneeded = () => request.result.createObjectStore("devices");
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  const stored = async (mode, act) => {
    const database = await opened;
    return new Promise((resolve, reject) => {
      const transaction = database.transaction("devices", mode);
      const request = act(transaction.objectStore("devices"));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onerror = transaction.onabort = () => reject(transaction.error);
    });
  };
  const load = () => stored("readonly", (devices) => devices.get(group));
  const keep = (device) => stored("readwrite", (devices) => devices.put(device, group));
  const forget = () => stored("readwrite", (devices) => devices.delete(group));

  const base64url = (bytes) => {
    const text = String.fromCharCode(...new Uint8Array(bytes));
    return btoa(text).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  };
  const encoded = (value) => base64url(new TextEncoder().encode(JSON.stringify(value)));
  const ALGORITHM = { name: "ECDSA", namedCurve: "P-256" };
  const signed = async (key, typ, kid, claims) => {
    const header = kid ? { alg: "ES256", typ, kid } : { alg: "ES256", typ };
    const text = `${encoded(header)}.${encoded(claims)}`;
    const hash = { name: "ECDSA", hash: "SHA-256" };
    return `${text}.${base64url(await crypto.subtle.sign(hash, key, new TextEncoder().encode(text)))}`;
  };

  // how far the server's clock is ahead, in seconds
  let ahead = 0;
  const once = () => ({
    iat: Math.floor(Date.now() / 1000) + ahead,
    jti: base64url(crypto.getRandomValues(new Uint8Array(16))),
  });
  class Refused extends Error {
    constructor(status, text) {
      super(text);
      this.status = status;
    }
  }
  const send = async (method, path, headers, body) => {
    const options = { method, headers: { accept: "application/json", ...headers }, cache: "no-store" };
    if (body) {
      options.headers["content-type"] = "application/json";
      options.body = JSON.stringify(body);
    }
    const answer = await fetch(path, options);
    const date = Date.parse(answer.headers.get("date") || "");
    if (date) ahead = Math.round((date - Date.now()) / 1000);
    const content = answer.status === 204 ? {} : await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Refused(answer.status, content.message || "It did not work. Try again.");
    return content.data;
  };
  const pass = (device, method, path) => signed(device.key, "device-request+jwt", device.id, { ...once(), method, path });
  const request = async (device, method, path, query, headers) => {
    const token = await pass(device, method, path);
    return send(method, path + query, { ...headers, authorization: `Device ${token}` });
  };

  const enrol = async (code, called) => {
    const pair = await crypto.subtle.generateKey(ALGORITHM, false, ["sign"]);
    const { kty, crv, x, y } = await crypto.subtle.exportKey("jwk", pair.publicKey);
    const proof = await signed(pair.privateKey, "device-enrolment+jwt", null, { aud: group, code });
    const body = { code, key: { kty, crv, x, y }, name: called, signed: proof };
    const made = await send("POST", `${api}/enrol`, {}, body);
    const device = { id: made.id, name: made.name, account: made.account, key: pair.privateKey };
    await keep(device);
    return device;
  };

  const answer = (device, challenge, word, number) => {
    const claims = { key: challenge.key, nonce: challenge.nonce, exp: challenge.exp, answer: word };
    if (number) claims.number = number;
    return signed(device.key, "device-answer+jwt", device.id, claims).then((token) =>
      send("POST", `${api}/challenges/${encodeURIComponent(challenge.key)}`, {}, { signed: token }),
    );
  };

  const card = (device, challenge) => {
    const form = document.querySelector("template[data-challenge]").content.firstElementChild.cloneNode(true);
    form.dataset.key = challenge.key;
    for (const part of ["title", "header", "message"]) form.querySelector(`[data-${part}]`).textContent = challenge[part];
    const number = form.querySelector("input[name=number]");
    form.querySelector("[data-number]").hidden = !challenge.asksForNumber;
    number.required = challenge.asksForNumber;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const word = event.submitter ? event.submitter.value : "deny";
      const buttons = form.querySelectorAll("button");
      for (const button of buttons) button.disabled = true;
      try {
        await answer(device, challenge, word, number.value);
        say("");
        status(word === "approve" ? "Approved." : "Denied.");
        form.remove();
      } catch (fault) {
        say(fault instanceof Refused ? fault.message : "There is no connection. Try again.");
        if (fault instanceof Refused && [403, 410].includes(fault.status)) form.remove();
        for (const button of buttons) button.disabled = false;
      }
    });
    return form;
  };
  const status = (text) => {
    find("status").textContent = text;
  };
  const list = (device, challenges) => {
    const place = find("challenges");
    const keys = challenges.map((challenge) => challenge.key);
    for (const form of [...place.children]) if (!keys.includes(form.dataset.key)) form.remove();
    const present = [...place.children].map((form) => form.dataset.key);
    for (const challenge of challenges) if (!present.includes(challenge.key)) place.append(card(device, challenge));
  };

  let run = 0;
  const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  // resolves with true if the socket had opened, once it is closed
  const socket = async (device, mine) => {
    const path = `${api}/socket`;
    const token = await pass(device, "GET", path);
    const address = new URL(`${path}?signed=${encodeURIComponent(token)}`, location.href);
    address.protocol = address.protocol.replace("http", "ws");
    return new Promise((resolve) => {
      const line = new WebSocket(address);
      let opened = false;
      line.onmessage = (event) => {
        if (mine !== run) return line.close();
        opened = true;
        list(device, JSON.parse(event.data).challenges);
      };
      line.onclose = () => resolve(opened);
    });
  };
  const follow = async (device) => {
    const mine = ++run;
    let known = "";
    let faults = 0;
    let sockets = 0;
    while (mine === run) {
      // three that do not open are enough to know that something in between does not let them through
      if (sockets < 3) {
        sockets = (await socket(device, mine).catch(() => false)) ? 0 : sockets + 1;
        if (mine !== run) return;
        known = "";
      }
      try {
        const query = known ? `?known=${encodeURIComponent(known)}` : "";
        const headers = known ? { prefer: "wait=50" } : {};
        const open = await request(device, "GET", `${api}/challenges`, query, headers);
        if (mine !== run) return;
        known = open.tag;
        list(device, open.challenges);
        if (faults) status(`This device is ready for ${device.account}.`);
        faults = 0;
      } catch (fault) {
        faults += 1;
        // the first time the clock may have been wrong
        if (fault instanceof Refused && fault.status === 401 && faults > 2) {
          status("This device was removed from the account.");
          list(device, []);
          return;
        }
        if (faults > 1) status("There is no connection. Trying again.");
        await pause(Math.min(2 ** faults, 60));
      }
    }
  };

  const offerPushes = async (device) => {
    const button = find("notify");
    if (!navigator.serviceWorker || !window.PushManager || !window.Notification) return;
    const worker = await navigator.serviceWorker.ready;
    button.hidden = Boolean(await worker.pushManager.getSubscription());
    button.addEventListener("click", async () => {
      try {
        if ((await Notification.requestPermission()) !== "granted") throw new Error("not allowed");
        const made = await worker.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: pushKey });
        const { endpoint, keys } = made.toJSON();
        const claims = { ...once(), subscription: { endpoint, keys: { p256dh: keys.p256dh, auth: keys.auth } } };
        const token = await signed(device.key, "device-subscription+jwt", device.id, claims);
        await send("PUT", `${api}/subscription`, {}, { signed: token });
        button.hidden = true;
      } catch (fault) {
        say("This browser takes no messages. Keep the page open instead.");
      }
    });
  };

  const ready = (device) => {
    show("ready");
    status(`This device is ready for ${device.account}.`);
    find("another").addEventListener("click", async () => {
      try {
        const added = await request(device, "POST", `${api}/enrolments`, "", {});
        const place = find("address");
        place.textContent = `Open this address on the other device: ${added.uri}`;
        place.hidden = false;
      } catch (fault) {
        say(fault.message);
      }
    });
    find("forget").addEventListener("click", async () => {
      run += 1;
      await forget();
      location.reload();
    });
    offerPushes(device).catch(() => {});
    follow(device);
    // a page that comes back to the front asks at once
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") follow(device);
    });
  };

  const codeOf = (text) => {
    const at = text.indexOf("enrol=");
    return (at < 0 ? text : text.slice(at + 6)).trim();
  };
  const begin = () => {
    show("enrol");
    const form = find("enrol");
    form.elements.code.value = given;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const button = form.querySelector("button");
      button.disabled = true;
      try {
        const device = await enrol(codeOf(form.elements.code.value), form.elements.name.value);
        say("");
        ready(device);
      } catch (fault) {
        say(fault instanceof Refused ? fault.message : "This browser can not keep a key, or there is no connection.");
        button.disabled = false;
      }
    });
  };

  const given = location.hash.includes("enrol=") ? codeOf(location.hash) : "";
  // so that the code does not stay in the history
  if (given) history.replaceState(null, "", app);
  if (navigator.serviceWorker) navigator.serviceWorker.register(`${app}/worker.js`, { scope: app }).catch(() => {});
  load()
    // whoever comes with a code wants a new key
    .then((device) => (device && !given ? ready(device) : begin()))
    .catch(() => {
      find("unsupported").hidden = false;
    });
})();
