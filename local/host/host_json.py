"""host.json: read, checked, and overridden by settings.

Source: Microsoft Learn, "host.json reference for Azure Functions 2.x and later", with the pages on the HTTP and the
Storage queue bindings that it refers to.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.host.errors import HostError

_OVERRIDE = "AzureFunctionsJobHost__"
_TIME_SPAN = re.compile(r"(?:(\d{1,5})\.)?(\d{1,2}):([0-5]?\d):([0-5]?\d(?:\.\d{1,7})?)")
_WEEK = 7 * 86400.0

#: Sections that Azure's host knows. Those without names here do not touch what this host does.
_TOP = {
    "$schema", "version", "aggregator", "concurrency", "customhandler", "extensionbundle", "extensions", "functions",
    "functiontimeout", "healthmonitor", "logging", "manageddependency", "retry", "sendcanceledinvocationstoworker",
    "singleton", "telemetrymode", "watchdirectories", "watchfiles",
}  # fmt: skip
_HTTP = {
    "customheaders", "dynamicthrottlesenabled", "hsts", "maxconcurrentrequests", "maxoutstandingrequests",
    "routeprefix",
}  # fmt: skip
_QUEUES = {
    "batchsize", "maxdequeuecount", "maxpollinginterval", "messageencoding", "newbatchthreshold", "visibilitytimeout",
}  # fmt: skip
_SINGLETON = {
    "listenerlockperiod", "listenerlockrecoverypollinginterval", "lockacquisitionpollinginterval",
    "lockacquisitiontimeout", "lockperiod",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """``extensions.http``. A limit of -1 is none."""

    route_prefix: str = "api"
    max_concurrent: int = -1
    max_outstanding: int = -1
    custom_headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class QueueOptions:
    """``extensions.queues``. Times are in seconds."""

    batch_size: int = 16
    new_batch_threshold: int = 8
    max_polling_interval: float = 60.0
    max_dequeue_count: int = 5
    visibility_timeout: float = 0.0
    base64: bool = True


@dataclass(frozen=True, slots=True)
class SingletonOptions:
    """``singleton``: the lease of a timer and how often others try to get it, in seconds.

    Azure's defaults are a minute each. Here a process that was killed should be replaced soon.
    """

    lease: int = 15
    retry: float = 5.0


@dataclass(frozen=True, slots=True)
class HostJson:
    """What this host obeys. ``warnings`` has one line per name that nobody knows.

    ``function_timeout`` is in seconds, None for no limit; the default is that of Azure's Flex and Premium plans.
    ``functions`` are the only ones to run, None for all.
    """

    http: HttpOptions = HttpOptions()
    queues: QueueOptions = QueueOptions()
    singleton: SingletonOptions = SingletonOptions()
    function_timeout: float | None = 1800.0
    functions: frozenset[str] | None = None
    warnings: tuple[str, ...] = ()


def read_host_json(app: Path, settings: Mapping[str, str]) -> HostJson:
    """Read ``app/host.json``; settings ``AzureFunctionsJobHost__path__to__name`` override it.

    Raises HostError when it is missing, wrong, or asks for what this host cannot do.
    """
    file = app / "host.json"
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise HostError(f"{app} is not a function app: it has no host.json") from None
    except ValueError as error:
        raise HostError(f"{file} is not JSON: {error}") from None
    if not isinstance(content, dict) or str(content.get("version")) != "2.0":
        raise HostError(f'{file}: it has to be an object with "version": "2.0"')
    tree = _lower(content)
    for name, value in settings.items():
        if name.lower().startswith(_OVERRIDE.lower()):
            _override(tree, name[len(_OVERRIDE) :].lower().split("__"), value)
    return _Reader(tree).read()


def time_span(value: Any) -> float:
    """Seconds of a .NET TimeSpan, ``[d.]hh:mm:ss[.fffffff]``. Raises ValueError."""
    match = _TIME_SPAN.fullmatch(value) if isinstance(value, str) else None
    if match is None or int(match[2]) > 23:
        raise ValueError("has to be a time such as 00:00:30 (hh:mm:ss)")
    return int(match[1] or 0) * 86400 + int(match[2]) * 3600 + int(match[3]) * 60 + float(match[4])


def _lower(value: Any) -> Any:
    """Names in lower case throughout: .NET configuration does not look at case."""
    if isinstance(value, dict):
        return {name.lower(): _lower(inner) for name, inner in value.items()}
    return value


def _override(tree: dict[str, Any], path: list[str], value: str) -> None:
    for name in path[:-1]:
        inner = tree.get(name)
        if not isinstance(inner, dict):
            inner = tree[name] = {}
        tree = inner
    tree[path[-1]] = value


class _Reader:
    """Takes options out of the tree, and notes every mistake before it complains."""

    def __init__(self, tree: dict[str, Any]) -> None:
        self._tree = tree
        self._problems: list[str] = []
        self._warnings: list[str] = []

    def read(self) -> HostJson:
        self._names("", _TOP)
        if self._get("customhandler", lambda value: value):
            self._problems.append("customHandler: custom handlers are not supported here")
        if self._get("concurrency.dynamicconcurrencyenabled", _flag):
            self._problems.append("concurrency.dynamicConcurrencyEnabled: dynamic concurrency is not supported here")
        timeout = self._get("functiontimeout", lambda value: None if str(value) == "-1" else time_span(value), 1800.0)
        functions = self._get("functions", _names_list)
        result = HostJson(
            http=self._http(),
            queues=self._queues(),
            singleton=self._singleton(),
            function_timeout=timeout,
            functions=frozenset(functions) if functions else None,
            warnings=tuple(self._warnings),
        )
        if self._problems:
            raise HostError("host.json cannot be used:\n" + "\n".join(f"  {line}" for line in self._problems))
        return result

    def _http(self) -> HttpOptions:
        self._names("extensions.http", _HTTP)
        if self._get("extensions.http.dynamicthrottlesenabled", _flag):
            self._warnings.append("extensions.http.dynamicThrottlesEnabled has no effect here")
        headers = self._get("extensions.http.customheaders", _headers, {})
        return HttpOptions(
            route_prefix=self._get("extensions.http.routeprefix", str, "api").strip("/"),
            max_concurrent=self._get("extensions.http.maxconcurrentrequests", _limit, -1),
            max_outstanding=self._get("extensions.http.maxoutstandingrequests", _limit, -1),
            custom_headers=tuple(headers.items()),
        )

    def _queues(self) -> QueueOptions:
        self._names("extensions.queues", _QUEUES)
        batch = self._get("extensions.queues.batchsize", _between(1, 32), 16)
        return QueueOptions(
            batch_size=batch,
            new_batch_threshold=self._get("extensions.queues.newbatchthreshold", _between(0, 10_000), batch // 2),
            max_polling_interval=self._get("extensions.queues.maxpollinginterval", _span(0.1, 60.0), 60.0),
            max_dequeue_count=self._get("extensions.queues.maxdequeuecount", _between(1, 10_000), 5),
            visibility_timeout=self._get("extensions.queues.visibilitytimeout", _span(0.0, _WEEK), 0.0),
            base64=self._get("extensions.queues.messageencoding", _encoding, True),
        )

    def _singleton(self) -> SingletonOptions:
        self._names("singleton", _SINGLETON)
        return SingletonOptions(
            lease=int(self._get("singleton.listenerlockperiod", _span(15.0, 60.0), 15.0)),
            retry=self._get("singleton.listenerlockrecoverypollinginterval", _span(0.1, 86400.0), 5.0),
        )

    def _find(self, path: str) -> Any:
        value: Any = self._tree
        for name in path.split(".") if path else ():
            value = value.get(name) if isinstance(value, dict) else None
        return value

    def _names(self, path: str, known: set[str]) -> None:
        section = self._find(path)
        if section is None:
            return
        if not isinstance(section, dict):
            self._problems.append(f"{path}: has to be an object")
            return
        self._warnings += [f"{path}.{name} is not known".lstrip(".") for name in section if name not in known]

    def _get(self, path: str, convert: Callable[[Any], Any], default: Any = None) -> Any:
        value = self._find(path)
        if value is None:
            return default
        try:
            return convert(value)
        except (TypeError, ValueError) as error:
            self._problems.append(f"{path}: {error}, not {value!r}")
            return default


def _flag(value: Any) -> bool:
    if str(value).lower() not in ("true", "false"):
        raise ValueError("has to be true or false")
    return str(value).lower() == "true"


def _between(low: int, high: int) -> Callable[[Any], int]:
    def convert(value: Any) -> int:
        text = str(value)
        if isinstance(value, bool) or not text.isdigit() or not low <= int(text) <= high:
            raise ValueError(f"has to be a whole number from {low} to {high}")
        return int(text)

    return convert


def _limit(value: Any) -> int:
    return -1 if str(value) == "-1" else _between(1, 1_000_000)(value)


def _span(low: float, high: float) -> Callable[[Any], float]:
    def convert(value: Any) -> float:
        seconds = time_span(value)
        if not low <= seconds <= high:
            raise ValueError(f"has to be from {low:g} to {high:g} seconds")
        return seconds

    return convert


def _encoding(value: Any) -> bool:
    if str(value).lower() not in ("base64", "none"):
        raise ValueError('has to be "base64" or "none"')
    return str(value).lower() == "base64"


def _headers(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise TypeError("has to be an object")
    return {str(name): str(text) for name, text in value.items()}


def _names_list(value: Any) -> list[str]:
    if not isinstance(value, list):
        raise TypeError("has to be a list of function names")
    return [str(name) for name in value]
