"""The page on which a person allows an application to act as the user who has logged in (``oauth_auth.do``).

Source: ServiceNow docs, "Authorization code grant workflow" and "OAuth authorization code grant flow": log-in first
(through the identity provider with single sign-on), then Allow or Deny; the browser goes to the redirect URL with code
or error, and the state. "Not you?" is that of the prompt which Microsoft's guides for their connectors describe.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from html import escape
from urllib.parse import parse_qsl, urlencode

from local.servicenow.exchange import Call
from local.servicenow.identity import Identity
from local.servicenow.instance import Instance
from local.servicenow.pages.log_in import LogIns
from local.servicenow.pages.markup import CONSENT, LOG_OUT, page
from local.simulator_kit.calls import Answer, html

_ASKED = ("response_type", "client_id", "redirect_uri", "state", "code_challenge", "code_challenge_method")


class ConsentPage:
    """Asks, and sends the browser back to the application."""

    def __init__(self, instance: Instance, log_ins: LogIns) -> None:
        self._instance = instance
        self._log_ins = log_ins

    def answer(self, call: Call) -> Answer:
        """The page, or the answer to what was chosen on it."""
        form = dict(parse_qsl(call.body.decode("utf-8", "replace"))) if call.method == "POST" else {}
        param = (lambda name: form.get(name, "")) if call.method == "POST" else call.param
        try:
            client = self._instance.oauth.asked(param)
        except ValueError as error:
            return html(400, "Invalid request", escape(str(error)))
        user = self._log_ins.user(call)
        if user is None:
            return self._log_ins.ask(call, f"{CONSENT}?{_query(param)}")
        call.entry.user = user.user_name
        check = self._log_ins.check(call)
        if call.method != "POST":
            return _ask(client.get("name"), user, param, check)
        if not hmac.compare_digest(form.get("sysparm_ck", ""), check):
            return html(403, "Invalid request", "The form does not belong to this session.")
        if form.get("choice") == "allow":
            return _go(self._instance.oauth.allowed(client, user.sys_id, param))
        return _go(self._instance.oauth.denied(param))


def _query(param: Callable[[str], str]) -> str:
    return urlencode({name: param(name) for name in _ASKED if param(name)})


def _go(address: str) -> Answer:
    return Answer(302, headers=[("Location", address)])


def _ask(client: str, user: Identity, param: Callable[[str], str], check: str) -> Answer:
    hidden = "".join(
        f'<input type="hidden" name="{name}" value="{escape(value)}">'
        for name, value in (*((name, param(name)) for name in _ASKED), ("sysparm_ck", check))
    )
    others = f"{LOG_OUT}?{urlencode({'sysparm_goto_url': f'{CONSENT}?{_query(param)}'})}"
    body = (
        f"<p><b>{escape(client)}</b> would like to connect to your ServiceNow account.</p>"
        f'<p id="who">{escape(user.name or user.user_name)} ({escape(user.user_name)}) '
        f'<a id="not_you" href="{escape(others)}">Not you?</a></p>'
        f'<form method="post" action="{CONSENT}">{hidden}'
        '<button name="choice" value="allow">Allow</button> <button name="choice" value="deny">Deny</button></form>'
    )
    shown = page("Allow access", body, user)
    # A browser applies form-action to the redirect after a form, too: this one leads to the application.
    shown.headers = [(name, value.replace("form-action 'self'; ", "")) for name, value in shown.headers]
    return shown
