"""Which page an address is, for whoever has logged in."""

from __future__ import annotations

import re

from local.servicenow.errors import ApiError
from local.servicenow.exchange import Call
from local.servicenow.identity import Identity
from local.servicenow.instance import Instance
from local.servicenow.pages.consent import ConsentPage
from local.servicenow.pages.lists import list_page
from local.servicenow.pages.log_in import LogIns
from local.servicenow.pages.markup import CONSENT, HOME, LOG_IN, LOG_OUT, SIDE_DOOR, SSO, error_page, link, page
from local.servicenow.pages.records import record_page
from local.simulator_kit.calls import Answer, html, read_params

_PAGE = re.compile(r"/?(\w+)\.do", re.ASCII)
_LIST = "_list"
_HOME = ("/", HOME, "/home.do")
#: The lists on the home page.
_LISTED = ("incident", "change_request", "problem", "em_event", "cmdb_ci", "task", "sys_user", "sys_user_group")


class Site:
    """The pages of one instance."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._log_ins = LogIns(instance)
        self._consent = ConsentPage(instance, self._log_ins)

    def answer(self, call: Call) -> Answer:
        """The page of an address; log-in first, except where the address can be no page at all (404)."""
        call.identity = None  # pages know sessions, not the credentials of the API
        if call.path in (LOG_IN, SIDE_DOOR):
            return self._log_ins.page(call)
        if call.path == SSO:
            return self._log_ins.single_sign_on(call)
        if call.path == LOG_OUT:
            return self._log_ins.log_out(call)
        if call.path == CONSENT and call.method in ("GET", "POST"):
            return self._consent.answer(call)
        if call.method != "GET" or (call.path != "/" and not _PAGE.fullmatch(call.path)):
            return html(404, "Page not found", "The page you are looking for could not be found.")
        user = call.identity = self._log_ins.user(call)
        if user is None:
            return self._log_ins.ask(call)
        call.entry.user = user.user_name
        if call.path == "/nav_to.do" and call.param("uri"):
            path, _, query = call.param("uri").partition("?")
            return self._page(user, "/" + path.removeprefix("/"), dict(read_params(query)))
        return self._page(user, call.path, dict(call.params))

    def _page(self, user: Identity, path: str, params: dict[str, str]) -> Answer:
        if path in _HOME:
            return self._home(user)
        found = _PAGE.fullmatch(path)
        name = found[1] if found else ""
        tables = self._instance.dictionary
        try:
            if name in tables:
                return record_page(self._instance, user, name, params)
            if name.removesuffix(_LIST) in tables:
                return list_page(self._instance, user, name.removesuffix(_LIST), params)
        except ApiError as error:
            return error_page(user, error.status, "The query is refused", error.detail or error.message)
        return error_page(user, 404, "Page not found", f"{path} is none of the simulator's pages.")

    def _home(self, user: Identity) -> Answer:
        instance = self._instance
        readable = [table for table in _LISTED if instance.access.may(user, "read", table)]
        lines = "".join(
            f"<li>{link(f'/{table}_list.do', instance.dictionary.tables[table].label)}</li>" for table in readable
        )
        shown = f"<ul>{lines}</ul>" if lines else '<p class="error">Your roles do not allow you to read any list.</p>'
        more = "<p>The list of any other table: <code>/TABLE_list.do?sysparm_query=ENCODED-QUERY</code></p>"
        return page("ServiceNow simulator", shown + more, user)
