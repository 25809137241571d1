"""The state models of the base system, as data: the names of states, and which state follows which. Pure.

Sources: ServiceNow docs, "State model and transitions" (change management, with the progression of normal, standard
and emergency changes), "Problem management state model", "Incident management: state model".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

#: Name by stored value, as the base system shows it.
INCIDENT_NAMES: Mapping[str, str] = MappingProxyType(
    {"1": "New", "2": "In Progress", "3": "On Hold", "6": "Resolved", "7": "Closed", "8": "Canceled"}
)
PROBLEM_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "101": "New",
        "102": "Assess",
        "103": "Root Cause Analysis",
        "104": "Fix in Progress",
        "106": "Resolved",
        "107": "Closed",
    }
)
CHANGE_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "-5": "New",
        "-4": "Assess",
        "-3": "Authorize",
        "-2": "Scheduled",
        "-1": "Implement",
        "0": "Review",
        "3": "Closed",
        "4": "Canceled",
    }
)


@dataclass(frozen=True, slots=True)
class StateModel:
    """A state model that guards each step.

    Attributes:
        paths: the states in their order, by the record's ``type``; "" for records without one, or of another type.
        approved: states that are entered by an approval and never by writing the state, by type.
        anytime: states to which a write leads from every state of a record that is not over.
        needs: fields that the step into a state asks for, where they are among the closing fields.
        watched: columns that tell why a record does not move.
    """

    paths: Mapping[str, tuple[str, ...]]
    approved: Mapping[str, frozenset[str]] = field(default_factory=dict)
    anytime: frozenset[str] = frozenset()
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    watched: tuple[str, ...] = ()

    def path(self, kind: str) -> tuple[str, ...]:
        """The states of a record of that type, in their order."""
        return self.paths.get(kind, self.paths[""])

    def by_approval(self, kind: str, state: str) -> bool:
        """Whether a record of that type enters ``state`` only when people approve."""
        return state in self.approved.get(kind, self.approved.get("", frozenset()))

    def ahead(self, kind: str, state: str, target: str, steps: tuple[str, ...]) -> tuple[str, ...]:
        """The states that lie between ``state`` and ``target``, the latter included, in their order.

        Empty where the way is not known: the record is in a state of the instance's own, or beyond the target.
        ``steps`` that the model does not know, or a target that it does not know, take the place of its path.
        """
        if target in self.anytime:
            return (target,)
        path = self._way(kind, target, steps)
        if state not in path:
            return () if path is self.path(kind) else path
        return path[path.index(state) + 1 : path.index(target) + 1]

    def wanted(self, kind: str, target: str, steps: tuple[str, ...]) -> tuple[str, ...]:
        """Every state that the bridge may write on the way to ``target``, in their order."""
        if target in self.anytime:
            return (target,)
        path = self._way(kind, target, steps)
        return tuple(state for state in path[: path.index(target) + 1] if state == target or state in steps)

    def _way(self, kind: str, target: str, steps: tuple[str, ...]) -> tuple[str, ...]:
        path = self.path(kind)
        known = {state for one in self.paths.values() for state in one}
        if target in path and known.issuperset(steps):
            return path
        return (*(state for state in steps if state != target), target)

    def before(self, state: str) -> frozenset[str]:
        """Every state that comes before ``state`` on the longest path."""
        path = self.paths[""]
        return frozenset(path[: path.index(state)]) if state in path else frozenset()


_NORMAL = ("-5", "-4", "-3", "-2", "-1", "0", "3")

CHANGE_MODEL = StateModel(
    paths=MappingProxyType(
        {
            "": _NORMAL,
            "normal": _NORMAL,
            "standard": ("-5", "-2", "-1", "0", "3"),
            "emergency": ("-5", "-3", "-2", "-1", "0", "3"),
        }
    ),
    approved=MappingProxyType({"": frozenset({"-3", "-2"}), "standard": frozenset(), "emergency": frozenset({"-2"})}),
    anytime=frozenset({"4"}),
    watched=("type", "approval", "on_hold", "on_hold_reason"),
)

PROBLEM_MODEL = StateModel(
    paths=MappingProxyType({"": ("101", "102", "103", "104", "106", "107")}),
    needs=MappingProxyType({"104": ("cause_notes", "fix_notes")}),
)
