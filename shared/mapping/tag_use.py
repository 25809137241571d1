"""Which signals need the tags of their resources: those that a condition or a template asks for. Pure, compiled once.

Tags cost a call to the cloud, so they are read only for a signal whose way through the routes may depend on them, or
whose route has a template with them. Where it is not sure, they are read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from shared.config.model import BridgeConfig, RouteBody
from shared.core.conditions import When
from shared.core.field_values import FieldValue, Lookup
from shared.core.signal import Signal
from shared.mapping.routes import Predicate, compile_when

#: What is the signal's own, and no tag of a resource.
_OF_THE_SIGNAL = re.compile(r"\bsignal\s*(?:\.\s*tags\b|\[\s*(['\"])tags\1\s*\])")
_TAGS = re.compile(r"(?:\b|_)tags\b")

#: Whether a signal needs tags.
NeedsTags = Callable[[Signal], bool]


def template_uses_tags(text: str) -> bool:
    """Whether a template may print a tag of a resource."""
    return any(mark in text for mark in ("{{", "{%")) and bool(_TAGS.search(_OF_THE_SIGNAL.sub("", text)))


def fields_use_tags(fields: Mapping[Any, FieldValue]) -> bool:
    """Whether a field's template or look-up may need a tag of a resource."""
    texts: list[str] = []
    for value in fields.values():
        texts += value.templates if isinstance(value, Lookup) else [str(value)]
    return any(map(template_uses_tags, texts))


def body_uses_tags(body: RouteBody) -> bool:
    """Whether a route's fields or groups may need a tag of a resource."""
    group, after = body.group, body.open_after
    return (
        fields_use_tags(body.fields)
        or fields_use_tags(body.resolve.fields)
        or (group is not None and template_uses_tags(group.by))
        or (after is not None and template_uses_tags(after.per))
    )


def when_uses_tags(when: When | None) -> bool:
    """Whether conditions, or those inside them, look at tags of resources."""
    if when is None:
        return False
    inner = (when.not_, *(when.any or ()), *(when.all or ()))
    return when.resource_tags is not None or any(map(when_uses_tags, inner))


def may_hold(when: When) -> When:
    """The conditions without those on tags of resources: what they let through may fulfil all of them."""
    return when.model_copy(
        update={
            "resource_tags": None,
            "not_": None if when_uses_tags(when.not_) else when.not_,
            "any": None if when.any is None else [may_hold(one) for one in when.any],
            "all": None if when.all is None else [may_hold(one) for one in when.all],
        }
    )


class TagUse:
    """The use that a configuration makes of tags.

    Args:
        config: of the file.
        made: routes that sources make, by name, and whether their fields use tags.
        name_of_made: name of the route that its source makes for a signal, None for none.
    """

    def __init__(
        self, config: BridgeConfig, made: Mapping[str, bool], name_of_made: Callable[[Signal], str | None]
    ) -> None:
        bodies = {route.name: route for route in config.routes}
        self._by_name = {**made, **{name: body_uses_tags(body) for name, body in bodies.items()}}
        if config.default is not None:
            self._by_name["default"] = body_uses_tags(config.default)
        self._name_of_made = name_of_made
        self._routes = [
            (compile_when(may_hold(route.when)), when_uses_tags(route.when), self._by_name[route.name])
            for route in config.routes
            if not route.disabled
        ]
        default = config.default
        self._default = default is not None and not default.disabled and self._by_name["default"]
        sections = [*((one.when, one.by) for one in config.throttles), *((one.when, "") for one in config.maintenance)]
        self._others = _others(sections)
        self.used = (
            any(self._by_name.values()) or any(asks for _, asks, _ in self._routes) or bool(self._others)
        )  # whether anything in the configuration uses tags

    def needed(self, signal: Signal) -> bool:
        """Whether the tags of a signal's resources are needed."""
        if not self.used or not any(one.id for one in signal.resources):
            return False
        if any(matches(signal) for matches in self._others):
            return True
        name = signal.via if signal.via in self._by_name else self._name_of_made(signal)
        if name is not None and name in self._by_name:
            return self._by_name[name]
        return self._by_routes(signal)

    def may_route(self, signal: Signal) -> bool:
        """Whether some route of the file may take a signal, whatever tags its resources have."""
        return any(asks and matches(signal) for matches, asks, _ in self._routes)

    def _by_routes(self, signal: Signal) -> bool:
        """Whether the first route that may take it, or its fields, depend on tags."""
        for matches, asks, fills in self._routes:
            if matches(signal):
                return asks or fills
        return self._default


def _others(sections: Iterable[tuple[When, str]]) -> Sequence[Predicate]:
    """Throttles and maintenance windows that look at tags."""
    return [compile_when(may_hold(when)) for when, by in sections if when_uses_tags(when) or template_uses_tags(by)]
