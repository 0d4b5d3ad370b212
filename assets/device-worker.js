// Keeps the page for times without a network, and wakes people when it is closed.
"use strict";

const CACHE = "device-app:" + SHELL.page;

self.addEventListener("install", (event) => {
  const keep = async () => {
    const cache = await caches.open(CACHE);
    await cache.addAll([SHELL.page, ...SHELL.files]);
    await self.skipWaiting();
  };
  event.waitUntil(keep());
});

self.addEventListener("activate", (event) => {
  const tidy = async () => {
    const cache = await caches.open(CACHE);
    const wanted = [SHELL.page, ...SHELL.files].map((path) => new URL(path, self.location).href);
    for (const request of await cache.keys()) if (!wanted.includes(request.url)) await cache.delete(request);
    await self.clients.claim();
  };
  event.waitUntil(tidy());
});

self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== "GET" || url.origin !== self.location.origin) return;
  const page = event.request.mode === "navigate" && url.pathname === SHELL.page;
  const file = SHELL.files.includes(url.pathname + url.search);
  if (!page && !file) return;
  const answer = async () => {
    const cache = await caches.open(CACHE);
    const kept = () => cache.match(page ? SHELL.page : event.request);
    // addresses of files change with their content
    if (file) return (await kept()) || fetch(event.request);
    try {
      const fresh = await fetch(event.request);
      if (fresh.ok) await cache.put(SHELL.page, fresh.clone());
      return fresh;
    } catch (offline) {
      const shell = await kept();
      if (shell) return shell;
      throw offline;
    }
  };
  event.respondWith(answer());
});

self.addEventListener("push", (event) => {
  const note = { body: "Somebody signs in or asks for your approval.", tag: SHELL.page, requireInteraction: true };
  event.waitUntil(self.registration.showNotification(SHELL.name, note));
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  const open = async () => {
    const pages = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
    const page = pages.find((client) => new URL(client.url).pathname === SHELL.page);
    return page ? page.focus() : self.clients.openWindow(SHELL.page);
  };
  event.waitUntil(open());
});
