"""A record on its way into the database, as the rules see it."""

from __future__ import annotations

from dataclasses import dataclass, field

from local.servicenow.errors import data_policy
from local.servicenow.identity import Identity
from local.servicenow.schema.dictionary import Dictionary
from local.servicenow.settings import Settings
from local.servicenow.store import Row, Store


@dataclass(frozen=True, slots=True)
class World:
    """What rules may look at besides the draft."""

    dictionary: Dictionary
    store: Store
    settings: Settings


@dataclass(frozen=True, slots=True)
class FollowUp:
    """A write that a rule causes on another record, in the same commit; ``sys_id`` empty: an insert."""

    table: str
    sys_id: str
    values: dict[str, str]


@dataclass(slots=True)
class Draft:
    """A record being inserted (``previous`` None) or updated.

    ``given`` names the columns that were sent; ``notes`` holds journal texts by field; ``now`` is stored time;
    ``by_action`` is True when a state model's own action writes, not the Table API.
    """

    table: str
    values: dict[str, str]
    previous: Row | None
    identity: Identity
    now: str
    world: World
    given: set[str] = field(default_factory=set)
    notes: dict[str, str] = field(default_factory=dict)
    follow_ups: list[FollowUp] = field(default_factory=list)
    by_action: bool = False

    @property
    def inserting(self) -> bool:
        return self.previous is None

    def get(self, name: str) -> str:
        """Value as it will be stored."""
        return self.values.get(name, "")

    def before(self, name: str) -> str:
        """Value before this write; empty for an insert."""
        return self.previous.get(name) if self.previous else ""

    def changed(self, name: str) -> bool:
        """Does this write alter the column?"""
        return self.get(name) != self.before(name)

    def set(self, **values: str) -> None:
        """Overwrite columns."""
        self.values.update(values)

    def set_if_empty(self, **values: str) -> None:
        """Fill columns that have no value."""
        for name, value in values.items():
            if not self.get(name):
                self.values[name] = value

    def count(self, name: str) -> None:
        """Add one to a counter column."""
        self.values[name] = str(int(self.before(name) or "0") + 1)

    def require(self, *names: str) -> None:
        """Data policy: these columns must have a value.

        Raises:
            ApiError: 403 with the labels of the empty ones.
        """
        empty = [name for name in names if not self.get(name)]
        if empty:
            columns = self.world.dictionary.columns(self.table)
            raise data_policy([columns[name].label for name in empty])
