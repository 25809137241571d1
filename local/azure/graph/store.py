"""Secure score of each tenant: the control profiles, and a score for every day.

Source: Microsoft Graph docs, "secureScore resource type" (one a day, kept 90 days) and "secureScoreControlProfile
resource type".
"""

from __future__ import annotations

from copy import deepcopy
from datetime import date, timedelta
from typing import Any

from local.azure.times import iso0, iso7
from local.simulator_kit.clock import Clock

#: Days that scores are kept.
KEPT = 90


class SecureScores:
    """Profiles and scores by tenant id.

    ``scores`` are today's entries of ``controlScores`` by control; a day that passes keeps what stood at its end.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.profiles: dict[str, dict[str, dict[str, Any]]] = {}
        self.scores: dict[str, dict[str, dict[str, Any]]] = {}
        self._days: dict[str, dict[date, dict[str, dict[str, Any]]]] = {}

    def put_profile(self, tenant: str, profile: dict[str, Any]) -> None:
        """Add or replace a profile; it bears its id."""
        self.profiles.setdefault(tenant, {})[str(profile["id"])] = profile

    def start(self, tenant: str, history: int) -> None:
        """Fill the days before today with today's scores."""
        today = self._clock.now().date()
        days = {today - timedelta(days=back): deepcopy(self.scores.get(tenant, {})) for back in range(history)}
        self._days[tenant] = days

    def set_score(self, tenant: str, control: str, changes: dict[str, Any]) -> dict[str, Any]:
        """A control's score changes today.

        Raises:
            KeyError: no such control in the tenant's profiles.
        """
        profile = self.profiles.get(tenant, {})[control]
        self._pass(tenant)
        entry = self.scores.setdefault(tenant, {}).setdefault(
            control,
            {
                "controlCategory": profile.get("controlCategory"),
                "controlName": control,
                "description": profile.get("title", ""),
                "score": 0.0,
            },
        )
        entry.update(changes)
        self._pass(tenant)
        return entry

    def remove_score(self, tenant: str, control: str) -> None:
        """A control vanishes from today's score.

        Raises:
            KeyError: it is not there.
        """
        self._pass(tenant)
        del self.scores[tenant][control]
        self._pass(tenant)

    def _pass(self, tenant: str) -> None:
        """Keep the days that went by as they stood, and today as it stands."""
        days = self._days.setdefault(tenant, {})
        today = self._clock.now().date()
        last = max(days, default=today)
        for ahead in range(1, min((today - last).days, KEPT)):
            days[last + timedelta(days=ahead)] = days[last]
        days[today] = deepcopy(self.scores.get(tenant, {}))
        for day in [day for day in days if day <= today - timedelta(days=KEPT) or day > today]:
            del days[day]

    def listed(self, tenant: str) -> list[dict[str, Any]]:
        """The tenant's secure scores, the newest first."""
        self._pass(tenant)
        profiles = self.profiles.get(tenant, {})
        possible = sum(float(one.get("maxScore") or 0) for one in profiles.values() if not one.get("deprecated"))
        return [self._score(tenant, day, self._days[tenant][day], possible) for day in sorted(self._days[tenant])[::-1]]

    def _score(self, tenant: str, day: date, entries: dict[str, dict[str, Any]], possible: float) -> dict[str, Any]:
        total = sum(float(entry.get("score") or 0) for entry in entries.values())
        start = self._clock.now().replace(year=day.year, month=day.month, day=day.day, hour=0, minute=0, second=0)
        return {
            "id": f"{tenant}_{day.isoformat()}",
            "azureTenantId": tenant,
            "activeUserCount": 87,
            "createdDateTime": iso0(start),
            "currentScore": total,
            "enabledServices": ["HasExchange", "HasSharePoint", "HasInTune"],
            "licensedUserCount": 100,
            "maxScore": possible,
            "averageComparativeScores": [
                {"basis": "AllTenants", "averageScore": 37.0},
                {"basis": "TotalSeats", "averageScore": 46.0},
                {"basis": "IndustryTypes", "averageScore": 109.0},
            ],
            "controlScores": list(entries.values()),
            "vendorInformation": vendor(),
        }

    def update_profile(self, tenant: str, control: str, changes: dict[str, Any], user: str) -> dict[str, Any]:
        """Append an update of a profile's state; what it does not say stays as it was.

        Raises:
            KeyError: no such profile.
        """
        profile = deepcopy(self.profiles.get(tenant, {})[control])
        updates = profile.setdefault("controlStateUpdates", []) or []
        last: dict[str, Any] = max(updates, key=lambda one: str(one["updatedDateTime"])) if updates else {}
        updates.append(
            {
                "assignedTo": changes.get("assignedTo", last.get("assignedTo")),
                "comment": changes.get("comment", last.get("comment")),
                "state": changes.get("state", last.get("state", "Default")),
                "updatedBy": user,
                "updatedDateTime": iso7(self._clock.now()),
            }
        )
        profile["controlStateUpdates"] = updates
        self.put_profile(tenant, profile)
        return profile


def vendor() -> dict[str, Any]:
    """``vendorInformation`` as live tenants show it."""
    return {"provider": "SecureScore", "providerVersion": None, "subProvider": None, "vendor": "Microsoft"}
