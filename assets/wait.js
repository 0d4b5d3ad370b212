// Waits for a device's answer: by a socket, else by requests that are held open, else by asking again.
(() => {
  "use strict";

  const form = document.querySelector("form[data-wait]");
  if (!form) return;
  const base = form.dataset.wait;
  const HELD = 25;
  const PAUSE = 2000;
  const PATIENCE = 5000;
  // An approval counts for twenty minutes; nobody waits longer.
  const until = Date.now() + 20 * 60 * 1000;
  const spinner = document.querySelector("[data-spinner]");
  const waiting = document.querySelector("[data-waiting]");
  let over = false;

  const pause = () => new Promise((done) => setTimeout(done, PAUSE));
  const end = (state) => {
    over = true;
    waiting.hidden = true;
    const text = document.querySelector(`[data-ended="${state}"]`);
    text.hidden = false;
    text.focus();
  };
  // True once there is nothing left to wait for.
  const heard = (state) => {
    if (over) return true;
    if (state === "approved") {
      over = true;
      delete form.dataset.sent;
      form.requestSubmit();
    } else if (state === "denied") end("denied");
    else if (state === "expired" || state === "unknown") end("expired");
    return over;
  };

  const bySocket = () =>
    new Promise((done) => {
      let socket;
      try {
        socket = new WebSocket(location.origin.replace(/^http/, "ws") + `${base}/socket`);
      } catch {
        done();
        return;
      }
      const slow = setTimeout(() => socket.readyState === WebSocket.CONNECTING && socket.close(), PATIENCE);
      socket.onmessage = (event) => {
        try {
          if (heard(JSON.parse(event.data).state)) socket.close();
        } catch {
          socket.close();
        }
      };
      socket.onerror = () => socket.close();
      socket.onclose = () => {
        clearTimeout(slow);
        done();
      };
    });

  const ask = async (held) => {
    const answer = await fetch(`${base}/status?wait=${held ? HELD : 0}`, { credentials: "same-origin", cache: "no-store" });
    if (answer.status === 204) return "approved";
    if (answer.status !== 206) throw new Error("no answer");
    return (await answer.json()).state;
  };

  (async () => {
    spinner.hidden = false;
    await bySocket();
    let held = true;
    while (!over && Date.now() < until) {
      try {
        const begun = Date.now();
        const state = await ask(held);
        if (heard(state)) return;
        // Not everything between here and the server holds requests open.
        if (!held || Date.now() - begun < PAUSE) await pause();
      } catch {
        held = false;
        await pause();
      }
    }
    if (!over) end("expired");
  })();
})();
