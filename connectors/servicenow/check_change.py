"""The connection check of how changes are made: the Change Management API, and the template of standard changes."""

from __future__ import annotations

from connectors.servicenow.change_management import BASE
from connectors.servicenow.check_report import CheckReport
from connectors.servicenow.client import Client
from connectors.servicenow.references import References
from connectors.servicenow.state_settings import Change
from connectors.servicenow.tables import TEMPLATE_FIELD
from connectors.servicenow.wire import Purpose, WireCall
from shared.core.errors import TicketSystemError

_API = "change_request: change api"
_TEMPLATE = "change_request: template"


class ChangeCheck:
    """Looks at what ``change`` of the connection asks for."""

    def __init__(self, client: Client, settings: Change, references: References, report: CheckReport) -> None:
        self._client = client
        self._settings = settings
        self._references = references
        self._report = report

    async def run(self) -> None:
        """Add the lines; none where changes are inserted into the table without a template."""
        if self._settings.api == "change_management":
            await self._api()
        if self._settings.template is not None:
            await self._template(self._settings.template)

    async def _api(self) -> None:
        try:
            await self._client.call(WireCall("GET", BASE, Purpose.LIST, {"sysparm_limit": "1"}))
        except TicketSystemError as error:
            self._report.error(_API, error)
        else:
            self._report.ok(_API, "the Change Management API answers")

    async def _template(self, template: str) -> None:
        try:
            found = await self._references.resolve(TEMPLATE_FIELD, template)
        except TicketSystemError as error:
            self._report.error(_TEMPLATE, error)
            return
        if found is None:
            self._report.failed(
                _TEMPLATE,
                f"no single template of standard changes is called '{template}'",
                "Correct 'template' under 'change', or let the integration user read std_change_producer_version.",
            )
        else:
            self._report.ok(_TEMPLATE, f"'{template}' is known")
