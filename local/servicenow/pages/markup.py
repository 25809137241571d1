"""The frame of every page, and pages that say why something cannot be shown."""

from __future__ import annotations

from html import escape

from local.servicenow.identity import Identity
from local.simulator_kit.calls import Answer

HOME = "/navpage.do"
LOG_IN = "/login.do"
LOG_OUT = "/logout.do"
#: Log-in with name and password although single sign-on is on.
SIDE_DOOR = "/side_door.do"
SSO = "/login_with_sso.do"
CONSENT = "/oauth_auth.do"
_STYLE = (
    "body{font:15px system-ui,sans-serif;margin:1em auto;max-width:80em;padding:0 1em;color:#222}"
    "nav{border-bottom:1px solid #ccc;padding-bottom:.5em}nav a{margin-right:1em}"
    "table{border-collapse:collapse}td,th{text-align:left;vertical-align:top;padding:.2em 1em .2em 0}"
    "th{font-weight:600;white-space:nowrap}.record td{white-space:pre-wrap;overflow-wrap:anywhere}"
    ".error{color:#a00}label{display:block;margin:.5em 0}input[name=sysparm_query]{width:40em;max-width:100%}"
)
#: Nothing is loaded, nothing is executed, and forms go to the instance only.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"


def page(title: str, body: str, user: Identity | None, status: int = 200) -> Answer:
    """A page; ``title`` is plain text, ``body`` is HTML, ``user`` is who has logged in."""
    text = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body>{_head(user)}<h1>{escape(title)}</h1>{body}</body></html>"
    )
    headers = [("Content-Security-Policy", _POLICY)]
    return Answer(status, raw=text.encode(), content_type="text/html;charset=UTF-8", headers=headers)


def _head(user: Identity | None) -> str:
    if user is None:
        return "<nav>ServiceNow simulator</nav>"
    name = escape(user.name or user.user_name)
    return f"<nav>{link(HOME, 'ServiceNow simulator')} {name} {link(LOG_OUT, 'Log out')}</nav>"


def link(address: str, text: str) -> str:
    """A link; both are plain text."""
    return f'<a href="{escape(address)}">{escape(text)}</a>'


def error_page(user: Identity, status: int, title: str, text: str) -> Answer:
    """Why something cannot be shown."""
    return page(title, f'<p class="error">{escape(text)}</p>', user, status)


def redirect(address: str, *headers: tuple[str, str]) -> Answer:
    """Send the browser to another address of the instance."""
    return Answer(302, headers=[("Location", address), *headers])
