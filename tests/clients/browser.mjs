// A browser without scripts: keeps cookies, follows redirects on its own site only, and sends the forms of a page.
import { parse } from 'parse5';
import { CookieJar } from 'tough-cookie';

const REDIRECTS = new Set([301, 302, 303, 307, 308]);

/** The redirect that left the server's site: where an application would take over. */
export class Departure {
  constructor(url, params) {
    this.url = url;
    this.params = params;
  }
}

export class Page {
  constructor(url, status, headers, text) {
    Object.assign(this, { url, status, headers, text });
    const html = (headers.get('content-type') ?? '').includes('html');
    this.forms = html ? formsOf(parse(text)) : [];
  }

  form(wanted, what) {
    const found = this.forms.find(wanted);
    if (!found) throw new Error(`no ${what} form on ${this.url} (${this.status}): ${this.text.slice(0, 400)}`);
    return found;
  }
}

export class Browser {
  constructor(base) {
    this.base = new URL(base);
    this.jar = new CookieJar(undefined, { rejectPublicSuffixes: false });
  }

  /** Opens an address and follows redirects; answers a Page, or a Departure when the site is left. */
  async open(url, init = {}) {
    let target = new URL(url, this.base);
    let request = init;
    for (let hops = 0; hops < 12; hops += 1) {
      if (target.host !== this.base.host) {
        const params = new URLSearchParams(target.search);
        for (const [name, value] of new URLSearchParams(target.hash.slice(1))) params.append(name, value);
        return new Departure(target, params);
      }
      const headers = { accept: 'text/html', ...request.headers };
      const cookies = await this.jar.getCookieString(target.href);
      if (cookies) headers.cookie = cookies;
      const response = await fetch(target, { ...request, headers, redirect: 'manual' });
      for (const cookie of response.headers.getSetCookie()) {
        await this.jar.setCookie(cookie, target.href, { ignoreError: true });
      }
      const text = await response.text();
      if (!REDIRECTS.has(response.status)) return new Page(target, response.status, response.headers, text);
      target = new URL(response.headers.get('location'), target);
      request = {};
    }
    throw new Error(`too many redirects, the last one to ${target}`);
  }

  /** Sends a form of a page: its hidden inputs, the given fields, and the given button if any. */
  async submit(page, form, fields = {}, button) {
    const data = new URLSearchParams();
    for (const input of form.inputs) {
      if (!(input.name in fields) && (input.checked ?? true)) data.append(input.name, input.value);
    }
    for (const [name, value] of Object.entries(fields)) data.append(name, value);
    if (button?.name) data.append(button.name, button.value);
    const action = new URL(form.action || page.url, page.url);
    if (form.method === 'get') {
      action.search = data;
      return this.open(action);
    }
    if (action.host !== this.base.host) return new Departure(action, data);
    return this.open(action, { method: 'POST', body: data });
  }

  /** Sends the e-mail page, then the password page. */
  async login(page, email, password) {
    let form = page.form(asksEmail, 'login');
    if (!asksPassword(form)) {
      const next = form.buttons.find((button) => button.name && !button.value.startsWith('magic'));
      page = await this.submit(page, form, { email }, next);
      form = page.form(asksPassword, 'password');
    }
    const enter = form.buttons.find((button) => button.name && !/^(magic|email)/.test(button.value));
    return this.submit(page, form, { email, password }, enter);
  }

  /** Follows an authorization request through login and consent up to the application, or to the page that stops it. */
  async authorize(url, { email, password } = {}) {
    let page = await this.open(url);
    let tried = false;
    for (let steps = 0; steps < 8 && page instanceof Page; steps += 1) {
      if (page.forms.some(asksEmail) && email && !tried) {
        tried = true;
        page = await this.login(page, email, password);
      } else if (page.forms.some(asksConsent)) {
        page = await this.submit(page, page.form(asksConsent, 'consent'));
      } else if (page.forms.some(postsAway(this.base))) {
        page = await this.submit(page, page.form(postsAway(this.base), 'form_post'));
      } else break;
    }
    return page;
  }

  /** Confirms the log-out page. */
  async logout(url) {
    const page = await this.open(url);
    if (!(page instanceof Page)) return page;
    const form = page.form((candidate) => candidate.action.endsWith('/session/end/confirm'), 'log-out');
    return this.submit(page, form, { logout: 'yes' });
  }
}

const asksEmail = (form) => form.inputs.some((input) => input.name === 'email');
const asksPassword = (form) => form.inputs.some((input) => input.type === 'password');
const asksConsent = (form) => /\/interaction\/[^/]+\/confirm$/.test(form.action);
const postsAway = (base) => (form) => form.method === 'post' && new URL(form.action, base).host !== base.host;

function formsOf(root) {
  const forms = [];
  const detached = [];
  const visit = (node, form) => {
    const attribute = Object.fromEntries((node.attrs ?? []).map(({ name, value }) => [name, value]));
    if (node.tagName === 'form') {
      form = { id: attribute.id, action: attribute.action ?? '', method: (attribute.method ?? 'get').toLowerCase(), inputs: [], buttons: [] };
      forms.push(form);
    } else if (['input', 'button', 'select', 'textarea'].includes(node.tagName)) {
      const type = (attribute.type ?? (node.tagName === 'button' ? 'submit' : 'text')).toLowerCase();
      const control = { name: attribute.name, value: attribute.value ?? '', type };
      if (type === 'checkbox' || type === 'radio') control.checked = 'checked' in attribute;
      if (attribute.form) detached.push([attribute.form, control]);
      else if (form) place(form, control);
    }
    for (const child of node.childNodes ?? []) visit(child, form);
  };
  visit(root, undefined);
  for (const [id, control] of detached) {
    const owner = forms.find((form) => form.id === id);
    if (owner) place(owner, control);
  }
  return forms;
}

function place(form, control) {
  if (['submit', 'button', 'image'].includes(control.type)) form.buttons.push(control);
  else if (control.name) form.inputs.push(control);
}
