"""The control API of the clouds: the kit's, and the journal, keys and tokens.

What creates and changes the demo data is in ``control_data.py``.
"""

from __future__ import annotations

from typing import Any

from local.azure.cloud import Cloud
from local.azure.control_data import DataControl
from local.azure.control_ingestion import IngestionControl
from local.azure.entra.mint import mint
from local.simulator_kit import control
from local.simulator_kit.control import Endpoints
from local.simulator_kit.scenarios import Scenario


class Control(control.Control):
    """The control API of the clouds."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        super().__init__(cloud)

    def more_endpoints(self) -> Endpoints:
        """What only the clouds have."""
        return {
            ("GET", "journal"): (
                self._journal,
                "What clients changed; ?service=, ?operation=, ?target= narrow it.",
            ),
            ("GET", "keys"): (self._keys, "Entra's signing keys."),
            ("POST", "keys"): (
                self._change_keys,
                '{"rotate": true, "keep_old": true, "publish": true}, or {"kid", "published": false}.',
            ),
            ("POST", "tokens"): (
                self._mint,
                "A token to order: identity, tenant, resource, version, claims, header, alg, key, secret.",
            ),
            **DataControl(self._cloud).endpoints(),
            **IngestionControl(self._cloud).endpoints(),
        }

    def apply_now(self, scenario: Scenario, /) -> dict[str, Any]:
        """End tokens; ``tokens`` is how many."""
        return {"tokens": self._cloud.tokens.end_all()} if scenario.type == "expire_tokens" else {}

    def _journal(self, _body: dict[str, Any], query: dict[str, str], _tail: str) -> Any:
        entries = self._cloud.journal.listed(
            query.get("service", ""), query.get("operation", ""), query.get("target", "")
        )
        return {"total": len(entries), "journal": entries}

    def _keys(self, *_: Any) -> Any:
        return {"keys": self._cloud.keys.listed()}

    def _change_keys(self, body: dict[str, Any], _query: dict[str, str], _tail: str) -> Any:
        keys = self._cloud.keys
        if body.get("rotate"):
            keys.rotate(bool(body.get("keep_old", True)), bool(body.get("publish", True)))
        elif "kid" in body and "published" in body:
            keys.find(str(body["kid"])).published = bool(body["published"])
        else:
            raise ValueError("rotate, or kid and published")
        return self._keys()

    def _mint(self, body: dict[str, Any], _query: dict[str, str], _tail: str) -> Any:
        return mint(body, self._cloud.tokens, self._cloud.keys)
