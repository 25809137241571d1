"""Log-in with user name and password, the session that follows, and the way back to the page that was asked for.

Source: the log-in form of the base system (``login.do``: ``user_name``, ``user_password``, ``sysverb_login``,
``sysparm_goto_url``) and ServiceNow docs, "Modify session timeout" (``glide.ui.session_timeout``, 30 minutes),
"Multi-Provider SSO" (with it the log-in page leads to the identity provider; ``side_door.do`` is the way around it).
"""

from __future__ import annotations

import hmac
import re
import secrets
from html import escape
from urllib.parse import parse_qsl, urlencode

from local.servicenow.errors import ApiError
from local.servicenow.exchange import Call
from local.servicenow.identity import Identity
from local.servicenow.instance import Instance
from local.servicenow.pages.markup import HOME, LOG_IN, LOG_OUT, SIDE_DOOR, SSO, page, redirect
from local.servicenow.store import Row
from local.servicenow.wire import SESSION_COOKIE
from local.simulator_kit.calls import Answer

_WRONG = (
    "User name or password is wrong, or the account cannot log in. The start of the simulator prints a pair that fits."
)
_MACHINE = "This account is for web services only: use it for the API, and log in as a person, for example admin."
_UNKNOWN = "User not found: the identity provider knows you, and this instance has no active user of that name."
_NO_CODE = "The account needs a one-time code: write it behind the password."
#: An address of this instance: one slash, a page, a query of printable characters. Never another host.
_OWN = re.compile(r"/(?:\w+\.do)?(?:\?[!-~]*)?", re.ASCII)


class LogIns:
    """Who has logged in: session cookie -> user. Ends after a time without requests, and with the process."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._seen: dict[str, tuple[str, float]] = {}
        self._key = secrets.token_bytes(32)

    def user(self, call: Call) -> Identity | None:
        """Who the session of a request belongs to, None when nobody has logged in or may any longer."""
        now = self._instance.clock.timestamp()
        idle = 60 * self._instance.properties.number("glide.ui.session_timeout", 30)
        self._seen = {session: entry for session, entry in self._seen.items() if 0 <= now - entry[1] < idle}
        entry = self._seen.get(call.session)
        if entry is None:
            return None
        self._seen[call.session] = (entry[0], now)
        return self._instance.authentication.session_user(entry[0])

    def page(self, call: Call) -> Answer:
        """The form, or the answer to it."""
        form = dict(parse_qsl(call.body.decode("utf-8", "replace"), keep_blank_values=True))
        goto = _own(form.get("sysparm_goto_url") or call.param("sysparm_goto_url"))
        if call.method != "POST" and call.path == LOG_IN and self._instance.settings.sso_user:
            return redirect(f"{SSO}?{urlencode({'sysparm_goto_url': goto})}")
        if call.method != "POST":
            return _form(goto)
        call.entry.user = form.get("user_name")
        try:
            row = self._instance.authentication.password_user(form.get("user_name", ""), form.get("user_password", ""))
        except ApiError:
            return _form(goto, _NO_CODE)
        if row is None:
            return _form(goto, _WRONG)
        if row.get("web_service_access_only") == "true":
            return _form(goto, _MACHINE)
        return self._begin(call, row, goto)

    def single_sign_on(self, call: Call) -> Answer:
        """What the browser meets on its way back from the identity provider: it knows the person at the machine."""
        row = self._instance.accounts.user(self._instance.settings.sso_user)
        if row is None or self._instance.authentication.session_user(row.sys_id) is None:
            return _form(_own(call.param("sysparm_goto_url")), _UNKNOWN)
        return self._begin(call, row, _own(call.param("sysparm_goto_url")))

    def _begin(self, call: Call, row: Row, goto: str) -> Answer:
        session = secrets.token_hex(16).upper()  # a new one: the old one may be known to others
        self._seen.pop(call.session, None)
        self._seen[session] = (row.sys_id, self._instance.clock.timestamp())
        return redirect(goto, _cookie(call, session))

    def check(self, call: Call) -> str:
        """What a form of this session must send along (``sysparm_ck``), so that no other site can send it."""
        return hmac.new(self._key, call.session.encode(), "sha256").hexdigest()

    def log_out(self, call: Call) -> Answer:
        """Forget the session, and lead to the log-in page. With single sign-on that would log in the same person."""
        self._seen.pop(call.session, None)
        page_of_log_in = SIDE_DOOR if self._instance.settings.sso_user else LOG_IN
        goto = call.param("sysparm_goto_url")
        after = f"{page_of_log_in}?{urlencode({'sysparm_goto_url': _own(goto)})}" if goto else page_of_log_in
        return redirect(after, _cookie(call, "", "; Max-Age=0"))

    @staticmethod
    def ask(call: Call, wanted: str = "") -> Answer:
        """Send a browser without a session to the form, which leads back to the page it asked for, or ``wanted``."""
        wanted = wanted or call.path + (f"?{call.query}" if call.query else "")
        return redirect(LOG_IN if wanted == "/" else f"{LOG_IN}?{urlencode({'sysparm_goto_url': wanted})}")


def _own(address: str) -> str:
    """The address, if it is a page of this instance to which log-in may lead; else the home page."""
    path = address.partition("?")[0]
    return address if _OWN.fullmatch(address) and path not in ("", LOG_IN, LOG_OUT, SIDE_DOOR, SSO) else HOME


def _cookie(call: Call, session: str, more: str = "") -> tuple[str, str]:
    secure = "; Secure" if call.base_url.startswith("https") else ""
    return ("Set-Cookie", f"{SESSION_COOKIE}={session}; Path=/; HttpOnly; SameSite=Lax{secure}{more}")


def _form(goto: str, error: str = "") -> Answer:
    said = f'<p class="error">{escape(error)}</p>' if error else ""
    body = (
        f'{said}<form method="post" action="{LOG_IN}">'
        '<label>User name <input id="user_name" name="user_name" autocomplete="username" required autofocus></label>'
        '<label>Password <input id="user_password" name="user_password" type="password" '
        'autocomplete="current-password" required></label>'
        f'<input type="hidden" name="sysparm_goto_url" value="{escape(goto)}">'
        '<button id="sysverb_login" name="sys_action" value="sysverb_login">Log in</button></form>'
    )
    return page("Log in", body, None, 403 if error else 200)
