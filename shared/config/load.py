"""Reads bridge.yaml and says everything that is wrong with it at once, each with line, path and fix."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import ValidationError

from shared.config.checks import FieldChecks, TemplateCheck, check_file, suggest_value
from shared.config.conditions import ConditionChecks, check_accept_only, check_patterns
from shared.config.explain import documented, explain, joined
from shared.config.export import warn_exports
from shared.config.lookup_files import load_tables
from shared.config.model import AnySection, BridgeConfig, config_model
from shared.config.unreachable import warn_file
from shared.core.errors import ConfigurationError
from shared.core.plugins import ConfigPath, ConfigView, Mistake, Registry, TicketSystemPlugin
from shared.core.settings import format_duration
from shared.core.ticket_system import TicketKind

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

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float:
        """A number; JSON, which the configuration's digests and answers are written in, has none without an end."""
        found = float(super().construct_yaml_float(node))
        if not math.isfinite(found):
            raise yaml.MarkedYAMLError(
                problem=f"'{node.value}' is no number that can be used", problem_mark=node.start_mark
            )
        return found


_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_yaml_float)

#: Bytes of the file, and values that it may have when every alias (``*name``) is written out. The largest configuration
#: that people have has some thousand. Each alias of an alias doubles what is behind it: nine lines make a billion.
_LONGEST_FILE = 1_000_000
_MOST_VALUES = 50_000


class LoadedConfig(NamedTuple):
    """A valid configuration, and what in it has no effect: one sentence each, with line and path."""

    config: BridgeConfig
    warnings: tuple[str, ...]


def load_config(
    path: str | Path, settings: Mapping[str, str] | None, registry: Registry, template_problem: TemplateCheck
) -> LoadedConfig:
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
    return parse_config(_text(file), file.name, settings, registry, template_problem, file.parent)


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
    text: str,
    name: str,
    settings: Mapping[str, str] | None,
    registry: Registry,
    template_problem: TemplateCheck,
    folder: Path = Path(),
) -> LoadedConfig:
    """Validate the text of a configuration file. ``name`` is used in messages, ``folder`` has the files that it names;
    the others are those of :func:`load_config`. Raises ConfigurationError."""
    data, node = _read(text, name)
    validation = _Validation(registry, template_problem, folder)
    return validation.run(data, node, name, os.environ if settings is None else settings)


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
    content: Any = None
    try:
        content = _substitute(data[section], (section,), os.environ if settings is None else settings, problems)
        if not problems:
            return model.model_validate(content)
    except RecursionError:
        problems.append(((section,), "an anchor (&) refers to itself. Fix: write the value out"))
    except ValidationError as error:
        found = joined([explain(model, content, dict(e)) for e in error.errors(include_url=False)])
        problems += [((section, *place), text) for place, text in found]
    raise ConfigurationError([f"{file.name}: {'.'.join(map(str, place))}: {said}" for place, said in problems])


def _read(text: str, name: str) -> tuple[dict[str, Any], yaml.Node]:
    """The file's content, and the nodes that know its lines. Raises ConfigurationError."""
    loader = None
    try:
        loader = _Loader(text)
        if len(text) > _LONGEST_FILE:
            raise yaml.MarkedYAMLError(problem=f"it has more than {_LONGEST_FILE:,} characters")
        node = loader.get_single_node()
        if node is not None:
            _check_size(node)
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

    def __init__(self, registry: Registry, template_problem: TemplateCheck, folder: Path) -> None:
        self._folder = folder
        self._registry = registry
        self._template_problem = template_problem
        self._model = config_model(registry)

    def run(self, data: dict[str, Any], node: yaml.Node, name: str, settings: Mapping[str, str]) -> LoadedConfig:
        """The configuration with its warnings. Raises ConfigurationError."""
        problems: list[Mistake] = []
        try:
            lines = dict(_lines(node))
        except RecursionError:
            raise ConfigurationError([f"{name}: an anchor (&) refers to itself. Fix: write the value out"]) from None
        data = _substitute(data, (), settings, problems)
        config: BridgeConfig | None = None
        of_tables: list[Mistake] = []
        try:
            config = self._model.model_validate(data)
        except ValidationError as error:
            unset = {path for path, _ in problems}  # what a missing setting leaves behind needs no second message
            found = joined([explain(self._model, data, dict(e)) for e in error.errors(include_url=False)])
            problems += [(path, message) for path, message in found if path not in unset]
        if config is not None:
            config, mistakes, of_tables = load_tables(config, self._folder)
            problems += mistakes
        view = self._view(data, config)
        problems += self._cross_check(view)
        if config is not None:
            problems += _too_slow(config)
        if problems or config is None:
            raise ConfigurationError(self._placed(name, lines, problems))
        warnings = [
            *of_tables,
            *warn_file(view),
            *self._warn_exports(config, data),
            *(one for section in self._registry.sections for one in section.warn(view)),
        ]
        return LoadedConfig(config, tuple(self._placed(name, lines, warnings)))

    def _warn_exports(self, config: BridgeConfig, data: Mapping[str, Any]) -> Iterator[Mistake]:
        stores = [one.path for destination in self._registry.destinations for one in destination.sections()]
        exports = {name: connection.export for name, connection in config.connections.items()}
        return warn_exports(exports, stores, data)

    def _placed(self, name: str, lines: dict[ConfigPath, int], found: list[Mistake]) -> list[str]:
        """Sentences with line and path, in the order of the file."""
        placed = sorted({(_line(lines, path), path, message) for path, message in found}, key=_by_line)
        return [_format(name, line, path, message, documented(self._model, path)) for line, path, message in placed]

    def _view(self, data: dict[str, Any], config: BridgeConfig | None) -> ConfigView:
        """What the checks see."""
        systems = _types_of_connections(data, self._registry)
        fields = {connection: plugin.fields for connection, plugin in systems.items()}

        def closing_mistakes(connection: str, kind: TicketKind, closing: Mapping[str, Any]) -> Mapping[str, str]:
            if config is None or connection not in systems:
                return {}
            return systems[connection].closing_mistakes(config.connections[connection], kind, closing)

        checks = FieldChecks(data.get("lookups"), fields, self._template_problem, closing_mistakes)
        kinds = {source.name: source.kinds for source in self._registry.sources}
        details = {source.name: source.details() for source in self._registry.sources}
        return ConfigView(
            data=data,
            config=config,
            fields=fields,
            states=_states(config),
            kinds=kinds,
            check_fields=checks.check,
            check_closing=checks.check_closing,
            check_template=checks.check_template,
            check_when=ConditionChecks(kinds, details).check,
            check_patterns=check_patterns,
            suggest_value=suggest_value,
        )

    def _cross_check(self, view: ConfigView) -> list[Mistake]:
        """Mistakes that no single value shows: those of the engine's sections, then those of each source's."""
        sections = self._registry.sections
        problems = [*check_file(view, sections), *check_accept_only(view.data.get("accept_only"))]
        for section in sections:
            problems += section.check(view)
        return problems


def _check_size(root: yaml.Node) -> None:
    """Raise MarkedYAMLError where aliases make too much of a file. An alias is the node of its anchor once more, so a
    node that was measured is not measured again."""
    sizes: dict[int, int] = {}

    def size(node: yaml.Node) -> int:
        known = sizes.get(id(node))
        if known is not None:
            return known
        sizes[id(node)] = 1  # of one that holds itself; that is a mistake of its own
        total = 1
        if isinstance(node, yaml.MappingNode):
            total += sum(size(key) + size(value) for key, value in node.value)
        elif isinstance(node, yaml.SequenceNode):
            total += sum(map(size, node.value))
        else:
            total += len(node.value) // 1_000
        if total > _MOST_VALUES:
            raise yaml.MarkedYAMLError(
                problem=f"with every alias (*name) written out there are more than {_MOST_VALUES:,} values",
                problem_mark=node.start_mark,
            )
        sizes[id(node)] = total
        return total

    size(root)


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
    fix = "Fix: check indentation, quotes and colons in and above this line"
    return f"{place}: not valid YAML: {_yaml_sentence(error)}. {fix}"


#: The library's sentences in plain words.
_YAML = (
    (
        re.compile(r"found undefined alias '(.*?)'.*"),
        r"*\1 refers to an anchor that is not above it. A text that begins "
        r"with * has to be in quotes",
    ),
    (
        re.compile(r"could not determine a constructor for the tag '(.*?)'.*"),
        r"the tag '\1' is not allowed here. A text "
        r"that begins with ! has to be in quotes",
    ),
    (
        re.compile(r"found character '(.)' that cannot start any token.*", re.DOTALL),
        r"a value cannot begin with '\1' "
        r"here. A text that begins with it has to be in quotes",
    ),
    (re.compile(r"found character '\\t' .*", re.DOTALL), "there is a tab. Indent with spaces"),
    (
        re.compile(r"mapping values are not allowed.*"),
        "a colon stands where no name can be. A text with ': ' in it has to be in quotes",
    ),
    (re.compile(r"could not find expected ':'"), "a name without its colon"),
    (re.compile(r"expected <block end>, but found .*"), "this line does not fit the indentation of those above it"),
    (re.compile(r"expected ',' or '([\]}])', but got .*"), r"a bracket is not closed: ',' or '\1' is missing"),
    (re.compile(r"found unexpected end of stream"), "a quotation mark is not closed"),
    (re.compile(r"expected the node content, but found .*"), "a value is missing, or a bracket is not closed"),
    (re.compile(r"found duplicate anchor.*"), "an anchor (&) is given twice"),
    (re.compile(r"special characters are not allowed"), "there is a control character"),
    (re.compile(r"while .*|expected .*|did not find .*|found .*"), "this line cannot be read"),
)


def _yaml_sentence(error: Exception) -> str:
    what = str(getattr(error, "problem", None) or getattr(error, "reason", None) or "")
    for theirs, ours in _YAML:
        if theirs.fullmatch(what):
            return theirs.sub(ours, what)
    if what:
        return what
    return "nested too deeply" if isinstance(error, RecursionError) else "a value cannot be read"


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


def _format(name: str, line: int, path: ConfigPath, message: str, documented_in: str) -> str:
    dotted = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")
    fix = "" if "Fix:" in message else f". Fix: see {documented_in}"
    return f"{name}:{line}: {dotted + ': ' if dotted else ''}{message}{fix}"
