"""Secure Score while the app runs: polls, tickets on demand, states of controls, the check."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING

from connectors.microsoft.engine import clients_of
from connectors.secure_score.settings import SecureScoreSettings
from shared.core.http import Handler, Request, Response
from shared.core.jobs import JobRun
from shared.core.plugins import JobWork, SectionCheck, Source
from shared.core.refusal import not_configured
from shared.engine import Engine

if TYPE_CHECKING:
    from connectors.secure_score.poll.poll import ScorePolled
    from connectors.secure_score.requests import ScoreRequests
    from connectors.secure_score.tenants import ScoreTenants
    from connectors.secure_score.write_back import ScoreWriteBack

_OWN = "own"


class SecureScoreSource(Source):
    """See the module."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def _settings(self) -> SecureScoreSettings | None:
        return self._engine.config.section("secure_score", SecureScoreSettings)

    @property
    def _required(self) -> SecureScoreSettings:
        """The section. Raises RequestRefused where the configuration has none."""
        settings = self._settings
        if settings is None:
            raise not_configured("bridge.yaml has no section 'secure_score'; see docs/secure-score.md.")
        return settings

    @cached_property
    def tenants(self) -> ScoreTenants:
        """Opens Microsoft Graph for each tenant."""
        from connectors.secure_score.tenants import ScoreTenants

        return ScoreTenants(self._required, clients_of(self._engine))

    def write_back(self) -> ScoreWriteBack | None:
        """See ``Source``."""
        settings, engine = self._settings, self._engine
        if settings is None or not settings.write_back:
            return None
        from connectors.secure_score.control_states import ControlStateRules
        from connectors.secure_score.write_back import ScoreWriteBack

        rules = ControlStateRules(settings.states, engine.state_name)
        return ScoreWriteBack(rules, lambda tenant: self.tenants.open(tenant), engine.state_name)

    async def poll_scores(self, run: JobRun | None = None) -> list[ScorePolled]:
        """Read the secure score of each tenant that is due; nothing where the configuration does not ask for it.

        Args:
            run: what is asked for; the run of a timer when None.

        Raises ConfigurationError and StorageUnavailable.
        """
        settings, engine = self._settings, self._engine
        if settings is None:
            return []
        from connectors.secure_score.poll.poll import ScorePoll
        from connectors.secure_score.poll.states import ScoreStates

        states = ScoreStates(engine.state_storage)
        poll = ScorePoll(settings, self.tenants, engine.links, states, engine.queue, now=engine.now)
        return await poll.run(run)

    def jobs(self) -> Mapping[str, JobWork]:
        """See ``Source``."""
        return {"poll_scores": self.poll_scores}

    @cached_property
    def _requests(self) -> ScoreRequests:
        from connectors.secure_score.requests import ScoreRequests

        engine = self._engine
        return ScoreRequests(
            self._required,
            self.tenants,
            engine.mapper,
            engine.system,
            engine.links,
            engine.worker.handle_now,
            now=engine.now,
        )

    async def ticket(self, request: Request) -> Response:
        """``POST /api/secure-score/{control}/ticket``; see ``endpoints.make_ticket``."""
        from connectors.secure_score.endpoints import make_ticket

        return await make_ticket(request, lambda: self._requests)

    async def ticket_preview(self, request: Request) -> Response:
        """``POST /api/secure-score/{control}/preview``; see ``endpoints.preview_ticket``."""
        from connectors.secure_score.endpoints import preview_ticket

        return await preview_ticket(request, lambda: self._requests)

    def handlers(self) -> Mapping[str, Handler]:
        """See ``Source``."""
        return {"secure_score_ticket": self.ticket, "secure_score_preview": self.ticket_preview}

    async def check(self, most: timedelta) -> list[SectionCheck]:
        """See ``Source``."""
        settings, engine = self._settings, self._engine
        if settings is None:
            return []
        from connectors.microsoft.check_run import CheckTask, run_checks
        from connectors.secure_score.check import ScoreChecks

        checks = ScoreChecks(settings, self.tenants, engine.now)
        return await run_checks(
            [CheckTask("secure_score", one.id or _OWN, partial(checks.tenant, one)) for one in settings.tenants], most
        )
