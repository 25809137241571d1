"""Settings of a simulator that tests may change while it runs, through ``PATCH /control/settings``."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any


def metadata(help_text: str, *choices: str) -> dict[str, Any]:
    """Metadata of a field that is a setting: its help, and the values it may have (empty: any)."""
    return {"help": help_text, "choices": choices}


def switch(default: Any, help_text: str, *choices: str) -> Any:
    """A dataclass field that is a setting: its default, what it does, and the values it may have (empty: any)."""
    return field(default=default, metadata=metadata(help_text, *choices))


@dataclass
class Switches:
    """Base of a dataclass whose fields are made by :func:`switch`."""

    latency_ms: float = switch(0.0, "Service time added to every API call, in milliseconds.")

    def patch(self, changes: dict[str, Any]) -> None:
        """Set several switches, or none.

        Raises:
            ValueError: a name or value does not fit; the text lists every problem.
        """
        known = {item.name: item for item in fields(self)}
        problems = []
        accepted: dict[str, Any] = {}
        for name, value in changes.items():
            item = known.get(name)
            if item is None:
                problems.append(f"{name}: no such setting")
                continue
            current = getattr(self, name)
            choices = item.metadata["choices"]
            if isinstance(current, bool) != isinstance(value, bool):
                problems.append(f"{name}: needs a {type(current).__name__}")
            elif isinstance(current, float) and isinstance(value, (int, float)):
                accepted[name] = float(value)
            elif choices and str(value) not in choices:
                problems.append(f"{name}: one of {', '.join(choices)}")
            elif choices:
                accepted[name] = str(value)
            elif not isinstance(value, type(current)):
                problems.append(f"{name}: needs a {type(current).__name__}")
            else:
                accepted[name] = value
        if problems:
            raise ValueError("; ".join(problems))
        for name, value in accepted.items():
            setattr(self, name, value)

    def values(self) -> dict[str, Any]:
        """Every switch with its value."""
        return asdict(self)

    @classmethod
    def described(cls) -> dict[str, dict[str, Any]]:
        """Help, default and choices of every switch, for ``GET /control``."""
        defaults = cls()
        return {
            item.name: {
                "help": item.metadata["help"],
                "default": getattr(defaults, item.name),
                **({"choices": list(item.metadata["choices"])} if item.metadata["choices"] else {}),
            }
            for item in fields(cls)
        }
