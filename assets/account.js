// Locks and recovers accounts, and sets passwords, by the API.
(() => {
  "use strict";

  const { say, step, run } = window.ueauthForms;
  const call = (method, url, token, body) =>
    window.ueauthForms.call(method, url, token ? `Bearer ${token}` : "", body, "same-origin");

  let email = "";
  let token = "";
  const actions = {
    async lock(form) {
      const { status, content } = await call("PUT", form.dataset.url, form.dataset.token, { email: form.elements.email.value });
      if (status === 204) return step("done");
      if (status === 206) return say(content.data);
      say(status === 403 ? "This is not the email address of the account." : "The account could not be locked. The link may have expired.");
    },
    async start(form) {
      email = form.elements.email.value;
      const codes = Array.from({ length: 10 }, (_, i) => form.elements[`code${i + 1}`].value.trim());
      const { status, content } = await call("POST", form.dataset.url, "", { email, codes });
      if (status === 200) {
        token = content.data.token;
        return step("password");
      }
      if (status === 428) return say("The ten codes must differ.");
      say(status === 429 ? "Too many attempts. Wait a minute and try again." : "The account is not locked, or too few of the codes are right.");
    },
    async recover(form) {
      const password = form.elements.password.value;
      if (password !== form.elements.confirmation.value) return say("The two passwords differ.");
      const { status, content } = await call("PUT", form.dataset.url, token, password ? { email, password } : { email });
      if (status !== 200) return say(status === 417 ? content.message : "The account could not be unlocked. Load this page again and repeat.");
      document.querySelector("[data-password]").textContent = content.data.password;
      const list = document.querySelector("[data-codes]");
      for (const code of content.data.codes) {
        const item = document.createElement("li");
        item.textContent = code;
        list.append(item);
      }
      step("done");
    },
    async reset(form) {
      const { status } = await call("POST", form.dataset.url, "", { email: form.elements.email.value.trim() });
      if (status === 204) return step("sent");
      say(status === 429 ? "Too many attempts. Wait a minute and try again." : "The message could not be sent. Try again later, or ask an administrator.");
    },
    async setpass(form) {
      const password = form.elements.password.value;
      if (password !== form.elements["confirm-password"].value) return say("The two passwords differ.");
      const { status, content } = await call("POST", form.dataset.url, form.dataset.token, { password });
      if (status === 204) return step("done");
      if (status === 417) return say(content.message);
      if (status === 429 || status === 503) return say("The server is busy. Wait a minute and try again.");
      step("again");
      say("The password could not be set. The link may have expired.");
    },
  };

  run("account", actions);
})();
