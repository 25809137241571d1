"""What the suites share: the kinds they run over, and tickets and notes that no other test uses."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from shared.core.ticket_system import Draft, Note, Phase, TicketKind

_COUNTER = itertools.count(1)


def draft(kind: TicketKind, **more: Any) -> Draft:
    """A ticket to create, with an id and a key that no other test uses."""
    n = next(_COUNTER)
    fields = {"short_description": f"Disk full {n}", "description": "91 % of 100 GB"}
    if kind is TicketKind.EVENT:
        fields = {"severity": "2", "node": f"web{n:02}", "description": "91 % of 100 GB"}
    sys_id = hashlib.sha256(f"conformance {n}".encode()).hexdigest()[:32]
    return replace(Draft(kind, sys_id, f"alert:1:conformance-{n}", fields), **more)


def note(text: str) -> Note:
    """A note with a marker of its own."""
    marker = f"[bridge:{next(_COUNTER):012}]"
    return Note(f"{text}\n\n{marker}", marker)


class Kinds:
    """The kinds that a connector is tested with. A connector's test class sets them."""

    #: Kinds that it can open.
    kinds: ClassVar[tuple[TicketKind, ...]] = ()
    #: Kinds that can be looked up.
    findable: ClassVar[tuple[TicketKind, ...]] = ()
    #: Kinds that know no way back from their end: what resolves them reports them closed.
    final: ClassVar[tuple[TicketKind, ...]] = ()
    #: Kinds whose states a model guards: they are walked to their end step by step.
    guarded: ClassVar[tuple[TicketKind, ...]] = ()

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """``any_kind`` runs over all kinds, ``kind`` over those that can be looked up, ``reopenable`` over those that
        know a way back, ``guarded_kind`` over those that are walked."""
        lists = {
            "any_kind": self.kinds,
            "kind": self.findable,
            "reopenable": tuple(kind for kind in self.kinds if kind not in self.final),
            "final_kind": self.final,
            "guarded_kind": self.guarded,
        }
        for name, kinds in lists.items():
            if name in metafunc.fixturenames:
                metafunc.parametrize(name, kinds)

    def resolved(self, kind: TicketKind) -> Phase:
        """The phase of a ticket that was resolved."""
        return Phase.CLOSED if kind in self.final else Phase.RESOLVED
