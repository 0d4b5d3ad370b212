// Sets up a device: proof of who it is, more proof where there is a device already, instructions.
(() => {
  "use strict";

  const wizard = document.querySelector("[data-device-wizard]");
  if (!wizard) return;
  const { instructions, choice, state, token } = wizard.dataset;
  const { say, step, basic, run } = window.ueauthForms;
  const part = (name) => wizard.querySelector(`[data-${name}]`);
  const post = (url, authorization, body) => window.ueauthForms.call("POST", url, authorization, body, "omit");

  let authorization = token ? `Bearer ${token}` : "";
  let more = "";
  let key = "";

  const show = (data) => {
    for (const text of data.instructions || []) {
      const item = document.createElement("li");
      item.textContent = text.replaceAll("&lt;", "<").replaceAll("&gt;", ">");
      part("steps").append(item);
    }
    if (data.qrSvg) {
      const drawn = new DOMParser().parseFromString(data.qrSvg, "image/svg+xml");
      part("qr").append(document.importNode(drawn.documentElement, true));
    }
    if (data.qrCode) {
      part("text").textContent = data.qrCode;
      part("text-box").hidden = false;
    }
    if (data.setupScreen && /^https?:\/\//.test(data.setupScreen)) {
      part("screen").href = data.setupScreen;
      part("screen").textContent = data.setupScreenButtonText || "Open the set-up page";
      part("screen").hidden = false;
    }
    for (const warning of data.warnings || []) {
      const item = document.createElement("li");
      item.textContent = `Something could not be cleaned up: ${warning.message}`;
      part("warnings").append(item);
    }
    // an app counts once it has shown that it works
    part("proof").hidden = !data.secret;
    step("done");
  };

  const ask = async (extra, refusal) => {
    const { status, data } = await post(instructions, authorization, { state, svg: true, ...extra });
    // a passkey is asked for once; this stands for it
    if (data && data.passkeyToken) authorization = `Bearer ${data.passkeyToken}`;
    if (status === 200) return show(data);
    if (status === 202) {
      more = data.token;
      return step("more");
    }
    if (status === 401) return say(refusal);
    say(status === 429 ? "Too many attempts. Wait a minute and try again." : "The device can not be set up at the moment. Try again later.");
  };

  const actions = {
    async password(form) {
      const { email, password } = form.elements;
      authorization = basic(email.value.trim(), password.value);
      await ask({}, "That email and password don’t match.");
    },
    async confirmed() {
      await ask({}, "The link has expired. Begin again.");
    },
    async passkey(form) {
      const name = document.getElementById("email");
      if (!name.value.trim()) return name.reportValidity();
      authorization = "";
      const begun = await post(form.dataset.url, "", { email: name.value.trim() });
      if (begun.status !== 200) return say("There is no passkey to use here. Use another way.");
      let credential;
      try {
        credential = await window.ueauthPasskeys.use(begun.data.assertionOptions);
      } catch {
        return say("No passkey was used. Try again, or use another way.");
      }
      await ask({ passkey: { accountId: begun.data.accountId, credential } }, "The passkey could not be verified.");
    },
    async choose(form) {
      const { selection } = form.dataset;
      const { status, data } = await post(choice, `Bearer ${more}`, { state, selection });
      if (status === 401) return say("This took too long. Begin again.");
      if (status !== 200) return say("That is not possible at the moment. Try another way.");
      if (selection === "email") return step("code");
      key = data.id;
      part("number").textContent = data.number || "";
      part("number-box").hidden = !data.number;
      step(data.byCode ? "typed" : "device");
    },
    async code(form) {
      await ask({ method: "email", code: form.elements.code.value.trim() }, "That code is not right, or too old.");
    },
    async remember() {
      step("recovery");
    },
    async recovery(form) {
      await ask({ method: "recovery", code: form.elements.code.value.trim() }, "That is none of your recovery codes.");
    },
    async proof(form) {
      const { status } = await post(form.dataset.url, authorization, { state, code: form.elements.code.value.trim() });
      if (status === 401) return say("That code is not right. Try the next one.");
      if (status !== 204) return say("It does not work at the moment. Try again later.");
      say("");
      form.hidden = true;
      part("proven").hidden = false;
    },
    async typed(form) {
      const code = form.elements.code.value.trim();
      await ask({ method: "device", providerKey: key, code }, "That code is not right.");
    },
    async approved() {
      await ask({ method: "device", providerKey: key }, "The device has not approved it.");
    },
  };
  run("device", actions);
})();
