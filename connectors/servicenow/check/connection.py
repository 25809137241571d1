"""The connection check: secrets, reachability, log-in, user, roles and clock, then the kinds of tickets in use.

A line that failed says how to fix it. A line that cannot be tested, because an earlier one failed or because the
instance does not show it to the integration user, says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from connectors.servicenow.account import own_records, own_roles
from connectors.servicenow.auth.log_ins import LogIns
from connectors.servicenow.batch_finding import BatchFinding
from connectors.servicenow.check.batch import BatchCheck
from connectors.servicenow.check.consent import ConsentCheck
from connectors.servicenow.check.foreign import check_foreign
from connectors.servicenow.check.import_set import check_import_set
from connectors.servicenow.check.items import check_items
from connectors.servicenow.check.report import CheckReport
from connectors.servicenow.check.tables import ChangeCheck, TableCheck
from connectors.servicenow.check.templates import check_template
from connectors.servicenow.check.writes import WriteProbe
from connectors.servicenow.client import Client
from connectors.servicenow.events import Events
from connectors.servicenow.people import People
from connectors.servicenow.references import References
from connectors.servicenow.refusals import about_one_table
from connectors.servicenow.settings import ServiceNowSettings
from connectors.servicenow.tables import CI_FIELD, TicketTable
from connectors.servicenow.templates import Templates
from connectors.servicenow.tickets import Tickets
from connectors.servicenow.wire import value
from shared.core.errors import (
    ConsentMissing,
    NotSent,
    Refused,
    SecretUnavailable,
    Throttled,
    TicketSystemError,
    Unavailable,
)
from shared.core.ticket_system import CheckLine, Needs, TicketKind

#: Seconds that the two clocks may differ. Beyond, signed tokens are refused and times in tickets mislead.
MAX_SKEW = 120.0

_BEFORE_USER = ("secrets", "reachable", "awake", "consent", "authenticated", "api access")


class ConnectionCheck:
    """One run of the connection check."""

    def __init__(
        self,
        client: Client,
        settings: ServiceNowSettings,
        tables: Mapping[TicketKind, TicketTable],
        references: References,
        templates: Templates,
        tickets: Tickets,
        events: Events,
        people: People,
        batches: BatchFinding,
        log_ins: LogIns,
    ) -> None:
        self._people = people
        self._consent = ConsentCheck(client, log_ins)
        self._before_user = [name for name in _BEFORE_USER if name != "consent" or log_ins.by_consent]
        self._client = client
        self._settings = settings
        self._tables = tables
        self._references = references
        self._templates = templates
        self._probe = WriteProbe(client, tables, tickets, events)
        self._batches = BatchCheck(client, settings, tables, tickets, batches, self._probe) if batches.wanted else None
        self._me: list[Mapping[str, Any]] = []
        self._has_none = False

    async def run(self, needs: Needs, *, probe_writes: bool) -> Sequence[CheckLine]:
        """All lines. See ``ServiceNow.check``."""
        report = CheckReport()
        kinds = [kind for kind in TicketKind if kind in needs.kinds]
        rest = ["user", "roles", "clock", "rate limit", *(kind.value for kind in kinds)]
        stopped = await self._connection(report)
        if stopped is not None:
            failed, reason = stopped
            for name in [*self._before_user[self._before_user.index(failed) + 1 :], *rest]:
                report.warning(name, f"not tested: {reason}")
            return report.lines
        roles = await self._user(report)
        self._response_facts(report)
        for owner in sorted(needs.owners):
            await self._owner(owner, report)
        for kind in kinds:
            if kind is TicketKind.EVENT:
                await self._event_role(report, roles, probe_writes)
                continue
            await TableCheck(self._client, self._tables[kind], self._references, report).run(needs.fields.get(kind, {}))
            self._has_none &= not report.is_ok(f"{self._tables[kind].name}: read")
            if kind is TicketKind.INCIDENT and report.is_ok(f"{self._tables[kind].name}: read"):
                await check_foreign(self._client, self._tables[kind].name, report)
            staging = getattr(self._settings.import_set, kind.value)
            if staging is not None:
                fields = needs.fields.get(kind, {})
                await check_import_set(self._client, staging, self._tables[kind].name, fields, report)
            for name in sorted(needs.templates.get(kind, ())):
                await check_template(self._templates, kind, name, report)
            if kind is TicketKind.CHANGE_REQUEST:
                await ChangeCheck(self._client, self._settings.change, self._references, report).run()
            if probe_writes:
                me = value(self._me[0], "sys_id") or "" if len(self._me) == 1 else ""
                await self._probe.run(kind, report, me)
            else:
                report.warning(
                    f"{kind.value}: write",
                    "not tested: reading does not show whether records may be created and keep their sys_id",
                    "Run the check with the write test; it creates one record per kind and takes it away again.",
                )
        if CI_FIELD not in self._settings.references and any(CI_FIELD in fields for fields in needs.fields.values()):
            await check_items(self._client, self._settings.ci, report)
        if self._batches is not None and probe_writes:
            await self._batches.probe(kinds, report)
        elif self._batches is not None and set(kinds) & self._tables.keys():
            await self._batches.known(report)
        if self._has_none and needs.kinds:
            # An instance that hides the roles of a user with roles shows it tickets all the same.
            report.replace_failed(
                "roles",
                "the user has no roles, and sees no ticket: it may write nothing",
                "Give it itil for incidents, problems and changes, or evt_mgmt_integration for events.",
            )
        return report.lines

    async def _connection(self, report: CheckReport) -> tuple[str, str] | None:
        """From secrets to API access. Returns the line that failed and why the rest is not tested, or None."""
        logged_in = False
        try:
            await self._client.log_in()
            logged_in = True
            report.ok("secrets", "every secret of the connection has a value")
            self._me = await own_records(self._client)
        except ConsentMissing:
            report.ok("secrets", "every secret of the connection has a value")
            for name in ("reachable", "awake"):
                report.warning(name, "not tested: nothing was sent")
            return self._consent.missing(report), "nobody has consented"
        except SecretUnavailable as error:
            report.failed("secrets", str(error), "Give the secret a value where the message says.")
            return "secrets", "there are no credentials"
        except TicketSystemError as error:
            if not (error.status == 403 and about_one_table(error.upstream)):
                return self._explain(report, error, logged_in)
        for name, detail in (
            ("reachable", f"{self._settings.url} answers"),
            ("awake", "the API answers"),
        ):
            report.ok(name, detail)
        await self._consent.given(report, self._me)
        report.ok("authenticated", "the credentials are accepted")
        report.ok("api access", "the API may be used")
        return None

    def _explain(self, report: CheckReport, error: TicketSystemError, logged_in: bool) -> tuple[str, str]:
        """The line that an error belongs to, and why the rest is not tested. The lines before it passed."""
        if isinstance(error, NotSent) or (isinstance(error, Unavailable) and error.status is None):
            line, reason = "reachable", "the instance cannot be reached"
        elif isinstance(error, Unavailable | Throttled):
            line, reason = "awake", "the instance does not answer for now"
        elif logged_in and (error.status == 403 or isinstance(error, Refused)):
            line, reason = "api access", "the API cannot be used"
        elif error.status is None and "consent" in self._before_user:  # said by the log-in, not by an answer to a call
            line, reason = "consent", "the consent is not accepted"
        else:
            line, reason = "authenticated", "the credentials are not accepted"
        for name in self._before_user[: self._before_user.index(line)]:
            if not report.has(name):
                report.ok(name, "went well")
        report.error(line, error)
        return line, reason

    async def _user(self, report: CheckReport) -> frozenset[str] | None:
        """The user that makes the calls. Returns its roles, None when they cannot be read."""
        if len(self._me) == 1:
            name = value(self._me[0], "user_name") or "the integration user"
            report.ok("user", f"calls are made as '{name}'")
        else:
            report.warning(
                "user", "the instance does not show us our own user record", "Allow the user to read sys_user."
            )
        roles, total = await own_roles(self._client)
        if "snc_read_only" in roles:
            report.failed(
                "roles",
                "the user has the role snc_read_only: the instance refuses whatever it writes",
                "Take the role snc_read_only away from it, or from the group that gives it.",
            )
            return roles
        if not roles:
            self._has_none = total == 0
            report.warning(
                "roles",
                "cannot be read by this user",
                "Look at the user's record: it needs itil for incidents, problems and changes, evt_mgmt_integration "
                "for events, and must not have admin.",
            )
            return None
        if "admin" in roles:
            report.warning(
                "roles",
                "the user is an administrator: it can write closed tickets, and no access rule protects the instance",
                "Take the role admin away; itil, and evt_mgmt_integration for events, are enough.",
            )
        else:
            report.ok("roles", ", ".join(sorted(roles)))
        return roles

    def _response_facts(self, report: CheckReport) -> None:
        skew = self._client.response_facts.skew
        if skew is None:
            report.warning("clock", "the instance's answers carry no date")
        elif abs(skew) > MAX_SKEW:
            report.warning(
                "clock",
                f"the instance's clock differs from ours by {skew:+.0f} seconds",
                "Correct the clock that is wrong: signed tokens are refused, and times in tickets mislead.",
            )
        else:
            report.ok("clock", f"differs by {skew:+.0f} seconds")
        limits = self._client.response_facts.rate_limit
        if "x-ratelimit-limit" in limits:
            report.ok("rate limit", f"a rule of the instance allows {limits['x-ratelimit-limit']} calls per hour")
        else:
            report.ok("rate limit", "the calls made so far fall under no rate limit rule")

    async def _owner(self, owner: str, report: CheckReport) -> None:
        """Whether the instance knows a person, or a group, to whom the configuration gives work."""
        line = f"owner {owner}"
        try:
            person = await self._people.find(owner)
            group = await self._people.group(owner) if person is None and "@" not in owner else None
        except TicketSystemError as error:
            report.error(line, error)
            return
        if person is not None:
            report.ok(line, f"is {person.name or person.user_name or person.id}")
        elif group is not None:
            report.ok(line, f"is the group {group}")
        else:
            report.failed(
                line,
                "no single active user or group has that name; its tickets would be assigned to nobody",
                "Correct the owner in the governance rule: e-mail address, user name or name of an active user.",
            )

    async def _event_role(self, report: CheckReport, roles: frozenset[str] | None, probe_writes: bool) -> None:
        if probe_writes:
            await self._probe.event(report)
        elif roles is not None and roles & {"evt_mgmt_integration", "admin"}:
            report.ok("event: role", "the user has the role that events need")
        elif roles is not None:
            report.failed(
                "event: role",
                "the user does not have the role evt_mgmt_integration",
                "Give it to the integration user; it needs the Event Management plugin.",
            )
        else:
            report.warning(
                "event: role",
                "not tested: reading does not show whether events may be sent",
                "Run the check with the write test; it sends one clearing event.",
            )
