"""Instance properties (``sys_properties``): read often, so kept until an application file changes."""

from __future__ import annotations

from local.servicenow.store import Store


class Properties:
    """Values of the instance's properties by name."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._version = -1
        self._values: dict[str, str] = {}

    def get(self, name: str, default: str = "") -> str:
        """Value, or ``default`` when the property does not exist."""
        version = self._store.version("sys_properties")
        if version != self._version:
            self._values = {row.get("name"): row.get("value") for row in self._store.scan("sys_properties")}
            self._version = version
        return self._values.get(name, default)

    def on(self, name: str) -> bool:
        """True when the property says true."""
        return self.get(name).lower() == "true"

    def number(self, name: str, default: int) -> int:
        """Whole number of the property, or ``default`` when it is absent or no number."""
        try:
            return int(self.get(name))
        except ValueError:
            return default
