"""A browser without scripts: keeps cookies, follows redirects on its own site only, and sends the forms of a page."""

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urljoin, urlsplit

import requests
from bs4 import BeautifulSoup


@dataclass
class Departure:
    """The redirect that left the server's site: where an application would take over."""

    url: str

    @property
    def params(self):
        return dict(parse_qsl(urlsplit(self.url).query, keep_blank_values=True))


class Page:
    def __init__(self, response):
        self.url, self.status, self.text = response.url, response.status_code, response.text
        is_html = "html" in response.headers.get("content-type", "")
        self.forms = BeautifulSoup(response.text, "html.parser").find_all("form") if is_html else []


def _has(form, **attributes):
    return form.find("input", attrs=attributes) is not None


def _is_consent(form):
    return re.search(r"/interaction/[^/]+/confirm$", form.get("action", "")) is not None


class Browser:
    def __init__(self, base):
        self.base = base
        self.session = requests.Session()
        self.session.headers["accept"] = "text/html"

    def open(self, url, data=None):
        target = urljoin(self.base, url)
        for _ in range(12):
            if urlsplit(target).netloc != urlsplit(self.base).netloc:
                return Departure(target)
            response = self.session.request("POST" if data is not None else "GET", target, data=data, allow_redirects=False, timeout=30)
            if response.status_code not in (301, 302, 303, 307, 308):
                return Page(response)
            target, data = urljoin(target, response.headers["location"]), None
        raise AssertionError(f"too many redirects, the last one to {target}")

    def submit(self, page, form, fields=None, button=None):
        fields = fields or {}
        data = [
            (field["name"], field.get("value", ""))
            for field in form.find_all("input")
            if field.get("name") and field["name"] not in fields
            and field.get("type") not in ("submit", "button", "image")
            and (field.get("type") not in ("checkbox", "radio") or field.has_attr("checked"))
        ]
        data += fields.items()
        if button is not None and button.get("name"):
            data.append((button["name"], button.get("value", "")))
        return self.open(urljoin(page.url, form.get("action") or page.url), data)

    def login(self, page, email, password):
        form = next(form for form in page.forms if _has(form, name="email"))
        if not _has(form, type="password"):
            buttons = form.find_all(["button", "input"], attrs={"name": "action"})
            proceed = next((button for button in buttons if not button.get("value", "").startswith("magic")), None)
            page = self.submit(page, form, {"email": email}, proceed)
            form = next(form for form in page.forms if _has(form, type="password"))
        return self.submit(page, form, {"email": email, "password": password})

    def authorize(self, url, email=None, password=None):
        """Follows an authorization request up to the application, or to the page that stops it."""
        page, tried = self.open(url), False
        for _ in range(8):
            if isinstance(page, Departure):
                break
            if email and not tried and any(_has(form, name="email") for form in page.forms):
                tried = True
                page = self.login(page, email, password)
                continue
            consent = next((form for form in page.forms if _is_consent(form)), None)
            if consent is None:
                break
            page = self.submit(page, consent)
        return page

    def logout(self, url):
        page = self.open(url)
        if isinstance(page, Departure):
            return page
        form = next(form for form in page.forms if form.get("action", "").endswith("/session/end/confirm"))
        return self.submit(page, form, {"logout": "yes"})
