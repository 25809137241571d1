"""Reads bridge.yaml and says everything that is wrong with it at once, each with line, path and fix."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from shared.config.checks import FieldChecks, check_file, suggest
from shared.config.model import AnySection, BridgeConfig, config_model
from shared.core.errors import ConfigurationError
from shared.core.plugins import ConfigPath, ConfigView, Mistake, Registry, TicketSystemPlugin
from shared.core.settings import format_duration

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses a name given twice: the second would silently win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: dict[Any, int] = {}
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.MarkedYAMLError(problem="a name must be plain text", problem_mark=key_node.start_mark)
            if key in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"'{key}' is given twice (first in line {seen[key]})", problem_mark=key_node.start_mark
                )
            seen[key] = key_node.start_mark.line + 1
        return super().construct_mapping(node, deep=deep)


#: What is wrong with a template, as one sentence; None when it compiles.
TemplateCheck = Callable[[str], str | None]


def load_config(
    path: str | Path, settings: Mapping[str, str] | None, registry: Registry, template_problem: TemplateCheck
) -> BridgeConfig:
    """Read and validate a configuration file.

    Args:
        path: the file, UTF-8 YAML.
        settings: values for ``${NAME}``; the environment when None.
        registry: the plug-ins, whose connections and sections the file may have.
        template_problem: checks templates.

    Raises:
        ConfigurationError: it cannot be read or has mistakes; one problem per mistake.
    """
    file = Path(path)
    return parse_config(_text(file), file.name, settings, registry, template_problem)


def _text(file: Path) -> str:
    """The file's text. Raises ConfigurationError."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigurationError(
            [f"{file}: no such file. Fix: create it (the repository ships a working bridge.yaml) or set BRIDGE_CONFIG"]
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigurationError([f"{file}: cannot be read: {reason}"]) from None


def parse_config(
    text: str, name: str, settings: Mapping[str, str] | None, registry: Registry, template_problem: TemplateCheck
) -> BridgeConfig:
    """Validate the text of a configuration file. ``name`` is used in messages; the others are those of
    :func:`load_config`. Raises ConfigurationError."""
    data, node = _read(text, name)
    return _Validation(registry, template_problem).run(data, node, name, os.environ if settings is None else settings)


def load_section(
    path: str | Path, section: str, model: type[AnySection], settings: Mapping[str, str] | None = None
) -> AnySection | None:
    """Read one section by itself, None when the file has none: mistakes elsewhere in the file do not count.

    Args:
        path: the file, UTF-8 YAML.
        section: its name.
        model: of the section.
        settings: values for ``${NAME}``; the environment when None.

    Raises:
        ConfigurationError: the file cannot be read, or this section has mistakes.
    """
    file = Path(path)
    data, _ = _read(_text(file), file.name)
    if data.get(section) is None:
        return None
    problems: list[Mistake] = []
    try:
        content = _substitute(data[section], (section,), os.environ if settings is None else settings, problems)
        if not problems:
            return model.model_validate(content)
    except RecursionError:
        problems.append(((section,), "an anchor (&) refers to itself. Fix: write the value out"))
    except ValidationError as error:
        problems += [((section, *e["loc"]), str(e["msg"])) for e in error.errors(include_url=False)]
    raise ConfigurationError([f"{file.name}: {'.'.join(map(str, place))}: {said}" for place, said in problems])


def _read(text: str, name: str) -> tuple[dict[str, Any], yaml.Node]:
    """The file's content, and the nodes that know its lines. Raises ConfigurationError."""
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        data = loader.construct_document(node) if node is not None else None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigurationError([_yaml_problem(name, error)]) from None
    finally:
        if loader is not None:
            loader.dispose()
    if not isinstance(data, dict) or node is None:
        raise ConfigurationError([f"{name}: expected 'version: 1' and sections such as connections and routes"])
    return data, node


class _Validation:
    """Validates one file against the plug-ins of a registry."""

    def __init__(self, registry: Registry, template_problem: TemplateCheck) -> None:
        self._registry = registry
        self._template_problem = template_problem
        self._model = config_model(registry)

    def run(self, data: dict[str, Any], node: yaml.Node, name: str, settings: Mapping[str, str]) -> BridgeConfig:
        """The configuration. Raises ConfigurationError."""
        problems: list[Mistake] = []
        try:
            lines = dict(_lines(node))
        except RecursionError:
            raise ConfigurationError([f"{name}: an anchor (&) refers to itself. Fix: write the value out"]) from None
        data = _substitute(data, (), settings, problems)
        config: BridgeConfig | None = None
        try:
            config = self._model.model_validate(data)
        except ValidationError as error:
            unset = {path for path, _ in problems}  # what a missing setting leaves behind needs no second message
            found = _joined([_explain(self._model, data, dict(e)) for e in error.errors(include_url=False)])
            problems += [(path, message) for path, message in found if path not in unset]
        problems += self._cross_check(data, config)
        if config is not None:
            problems += _too_slow(config)
        if problems or config is None:
            placed = sorted({(_line(lines, path), path, message) for path, message in problems}, key=_by_line)
            raise ConfigurationError([_format(name, *problem) for problem in placed])
        return config

    def _cross_check(self, data: dict[str, Any], config: BridgeConfig | None) -> list[Mistake]:
        """Mistakes that no single value shows: those of the engine's sections, then those of each source's."""
        systems = _types_of_connections(data, self._registry)
        fields = {connection: plugin.fields for connection, plugin in systems.items()}
        view = ConfigView(
            data=data,
            config=config,
            fields=fields,
            states=_states(config),
            check_fields=FieldChecks(data.get("lookups"), fields, self._template_problem).check,
            suggest=suggest,
        )
        sections = self._registry.sections
        problems = check_file(view, sections)
        for section in sections:
            problems += section.check(view)
        return problems


def _types_of_connections(data: Mapping[str, Any], registry: Registry) -> dict[str, TicketSystemPlugin]:
    """The ticket system of each connection that names a known one."""
    connections = data.get("connections")
    found: dict[str, TicketSystemPlugin] = {}
    for name, settings in connections.items() if isinstance(connections, dict) else ():
        plugin = registry.ticket_systems.get(str(settings.get("type"))) if isinstance(settings, dict) else None
        if plugin is not None:
            found[str(name)] = plugin
    return found


def _states(config: BridgeConfig | None) -> dict[str, str]:
    """Names and stored values of the states of all connections, lower case, with how they are shown."""
    known: dict[str, str] = {}
    for settings in config.connections.values() if config is not None else ():
        for value, name in settings.state_names():
            known |= {name.casefold(): name, value: value}
    return known


def _by_line(problem: tuple[int, ConfigPath, str]) -> tuple[int, str]:
    return problem[0], f"{problem[1]} {problem[2]}"


def _yaml_problem(name: str, error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    place = f"{name}:{mark.line + 1}" if mark is not None else name
    what = getattr(error, "problem", None) or str(error) or "nested too deeply"
    return f"{place}: not valid YAML: {what}. Fix: check indentation, quotes and colons in and above this line"


def _lines(node: yaml.Node | None, path: ConfigPath = ()) -> Iterator[tuple[ConfigPath, int]]:
    """Line of every value, by path."""
    if node is None:
        return
    yield path, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key_node, value_node in node.value:
            key = str(getattr(key_node, "value", ""))
            yield (*path, key), key_node.start_mark.line + 1
            for found, line in _lines(value_node, (*path, key)):
                if found != (*path, key):
                    yield found, line
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _lines(item, (*path, index))


def _substitute(value: Any, path: ConfigPath, settings: Mapping[str, str], problems: list[Mistake]) -> Any:
    """Put settings into ``${NAME}`` and ``${NAME:-default}`` of every text value."""
    if isinstance(value, dict):
        return {
            (str(k) if not isinstance(k, str) else k): _substitute(v, (*path, str(k)), settings, problems)
            for k, v in value.items()
        }
    if isinstance(value, list):
        return [_substitute(item, (*path, i), settings, problems) for i, item in enumerate(value)]
    if not isinstance(value, str) or "${" not in value:
        return value

    def replace(match: re.Match[str]) -> str:
        found = settings.get(match[1]) or match[2]
        if found is None:
            problems.append(
                (path, f"setting {match[1]} has no value. Fix: set it, or write ${{{match[1]}:-a default}}")
            )
            return match[0]
        return found

    return _VARIABLE.sub(replace, value)


def _explain(model: type[BridgeConfig], data: Any, error: dict[str, Any]) -> Mistake:
    """One pydantic error as a path in the file and a sentence with the fix."""
    path: list[str | int] = []
    here: Any = data
    location = list(error["loc"])
    for index, step in enumerate(location):
        known = (isinstance(here, dict) and step in here) or (
            isinstance(here, list) and isinstance(step, int) and step < len(here)
        )
        last = index == len(location) - 1
        if known:
            here = here[step]
            path.append(step)
        elif last and error["type"] in ("missing", "union_tag_not_found"):
            path.append(step)
        # any other step is the name of a union's member, which the file does not show
    kind, message = error["type"], str(error["msg"])
    if kind == "extra_forbidden":
        return tuple(path), f"unknown name '{path[-1]}'.{suggest(str(path[-1]), _siblings(model, path))}"
    if kind == "missing":
        return tuple(path), f"'{path[-1]}' is missing. Fix: add it"
    message = message.removeprefix("Value error, ").replace("Input should be", "must be")
    for technical, plain in _PLAIN:
        message = technical.sub(plain, message)
    return tuple(path), message


_PLAIN = [
    (re.compile(r"<\w+\.\w+: ('[^']*')>"), r"\1"),  # the member of an enumeration
    (re.compile(r"a valid dictionary( or instance of \w+)?"), "a section of names and values"),
    (re.compile(r"a valid list"), "a list"),
    (re.compile(r"a valid string"), "text (put it in quotes)"),
    (re.compile(r"a valid boolean"), "true or false"),
    (re.compile(r"a valid (integer|number)"), r"a whole number"),
    (
        re.compile(r"String should match pattern '\^\[A-Za-z\]\[A-Za-z0-9_-\].*"),
        "a name begins with a letter and has letters, digits, - and _ only, at most 63",
    ),
    (re.compile(r"Dictionary should have at least 1 item.*"), "must have at least one entry"),
    (
        re.compile(r"Input tag '(.*)' found using 'type' does not match any of the expected tags:"),
        r"type '\1' is none of",
    ),
]


def _joined(problems: list[Mistake]) -> list[Mistake]:
    """One line per place: a value that may be of several types fails each of them in a line of its own."""
    by_path: dict[ConfigPath, list[str]] = {}
    for path, message in problems:
        by_path.setdefault(path, []).append(message)
    return [
        (path, " or ".join(dict.fromkeys(m.removeprefix("must be ") if i else m for i, m in enumerate(messages))))
        for path, messages in by_path.items()
    ]


def _siblings(model: type[BridgeConfig], path: list[str | int]) -> list[str]:
    """Names allowed where ``path`` ends, as far as the models tell."""
    candidates: list[Any] = [model]
    for step in path[:-1]:
        following: list[Any] = []
        for candidate in candidates:
            field = _fields(candidate).get(step) if isinstance(step, str) else None
            annotation = field.annotation if field else None
            following += list(_models(annotation)) if annotation is not None else []
        candidates = following or candidates
    return sorted({name for candidate in candidates for name in _fields(candidate)})


def _fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """A model's fields by the names that the file uses."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _models(argument)


def _too_slow(config: BridgeConfig) -> list[Mistake]:
    """A lease that ends before its call does would let two workers work on one ticket."""
    lease = config.delivery.lease
    return [
        (
            ("connections", name, "total_timeout"),
            f"{format_duration(connection.total_timeout)} is not below delivery.lease ({format_duration(lease)}). "
            "Fix: raise delivery.lease, or lower this",
        )
        for name, connection in config.connections.items()
        if connection.total_timeout >= lease
    ]


def _line(lines: dict[ConfigPath, int], path: ConfigPath) -> int:
    """Line of the nearest thing on the way to ``path`` that stands in the file."""
    return next((lines[path[:n]] for n in range(len(path), -1, -1) if path[:n] in lines), 1)


def _format(name: str, line: int, path: ConfigPath, message: str) -> str:
    dotted = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")
    fix = "" if "Fix:" in message else ". Fix: see docs/configuration.md"
    return f"{name}:{line}: {dotted + ': ' if dotted else ''}{message}{fix}"
