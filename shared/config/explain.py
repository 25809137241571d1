"""Turns the errors of the model into sentences of ours: where in bridge.yaml, what is wrong, and the fix."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from shared.config.checks import suggest, suggest_value
from shared.core.plugins import ConfigPath, Mistake
from shared.core.settings import SecretRef, format_duration

#: Page that describes every option, as messages name it.
PAGE = "docs/configuration.md"

_REFERENCE = (
    "a secret is never written into this file. Fix: put it into Key Vault (or the application settings) and write "
    "{secret: its-name} here"
)

_REFERENCE_FORM = (
    "not the name of a secret: it has letters, digits and - only, at most 127. Fix: write the name of the secret in "
    "Key Vault here, never its value"
)

#: What a text has to look like, by the pattern that it failed.
_FORMS: Mapping[str, str] = {
    r"^[A-Za-z][A-Za-z0-9_-]{0,62}$": "a name begins with a letter and has letters, digits, - and _ only, at most 63",
    r"^[^:]+$": "must not have a colon",
    r"^[A-Za-z][A-Za-z0-9_]{0,79}$": "must be the internal name of a table or column: letters, digits and _",
    r"^[0-9A-Za-z-]{1,127}$": _REFERENCE_FORM,
    r"^[A-Za-z0-9_-]{1,40}$": "must be a state as it is stored: letters, digits, - and _, at most 40",
    r"^[^\^\r\n]{1,80}$": "must be one line of 1 to 80 characters without ^",
    r"^[A-Za-z0-9-]{1,64}$": "must have letters, digits and - only, at most 64",
}


def explain(model: type[BaseModel], data: Any, error: Mapping[str, Any]) -> Mistake:
    """One error of pydantic as a place in the file and a sentence, with the fix where there is a certain one.

    Args:
        model: of the whole file.
        data: the file's content.
        error: as ``ValidationError.errors`` lists it.
    """
    path = _place(data, error)
    kind = str(error["type"])
    context: Mapping[str, Any] = error.get("ctx") or {}
    if kind == "extra_forbidden":
        return path, f"unknown name '{path[-1]}'.{suggest(str(path[-1]), _siblings(model, path))}"
    if kind == "missing":
        return path, f"'{path[-1]}' is missing. Fix: add it"
    if kind == "union_tag_not_found":
        return path, f"{context.get('discriminator', 'type')!s} is missing. Fix: add it"
    if _wants_secret(error, context):
        return path, _REFERENCE
    write = _SENTENCES.get(kind)
    if write is not None:
        return path, write(context, error.get("input"))
    message = str(error["msg"]).removeprefix("Value error, ")
    return path, message if kind == "value_error" else f"not possible here ({message.removeprefix('Input should be ')})"


def _wants_secret(error: Mapping[str, Any], context: Mapping[str, Any]) -> bool:
    """Whether something else than a reference stands where a secret belongs."""
    named = context.get("class_name") == SecretRef.__name__
    return error["type"] in ("model_type", "model_attributes_type") and named


def _place(data: Any, error: Mapping[str, Any]) -> ConfigPath:
    """The path of an error, without the names of a union's members, which the file does not show."""
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
    return tuple(path)


def _shown(bound: Any) -> str:
    parts = re.findall(r"(days|seconds)=(\d+)", bound) if isinstance(bound, str) else []
    if parts:  # pydantic gives the source text of a timedelta
        return format_duration(timedelta(**{unit: int(count) for unit, count in parts}))
    return f"{bound:g}" if isinstance(bound, float) else str(bound)


def _one_of(context: Mapping[str, Any], given: Any) -> str:
    """``must be 'a', 'b' or 'c'``, and which of them was probably meant."""
    expected = re.sub(r"<\w+\.\w+: ('[^']*')>", r"\1", str(context.get("expected", "")))
    known = re.findall(r"'([^']*)'", expected)
    return f"must be {expected}.{suggest_value(given, known, close_only=True)}".removesuffix(".")


def _tag(context: Mapping[str, Any], _given: Any) -> str:
    expected = str(context.get("expected_tags", ""))
    wrong = context.get("tag")
    if wrong in (None, "None") or re.fullmatch(r"[\w.-]+", str(wrong)) is None:
        return f"type must be one of {expected}"
    fix = suggest_value(str(wrong), re.findall(r"'([^']*)'", expected), close_only=True)
    return f"type '{wrong}' is none of {expected}.{fix}".removesuffix(".")


def _form(context: Mapping[str, Any], _given: Any) -> str:
    pattern = str(context.get("pattern", ""))
    return _FORMS.get(pattern) or "has characters that are not allowed here, or too many or too few"


def _items(context: Mapping[str, Any], few: bool) -> str:
    count = int(context.get("min_length" if few else "max_length", 1))
    what = "entry" if count == 1 else "entries"
    return f"must have at {'least' if few else 'most'} {'one' if count == 1 else count} {what}"


def _characters(context: Mapping[str, Any], few: bool) -> str:
    count = int(context.get("min_length" if few else "max_length", 1))
    if few and count == 1:
        return "must not be empty"
    return f"must have at {'least' if few else 'most'} {count} characters"


def _is(text: str) -> Callable[[Mapping[str, Any], Any], str]:
    return lambda _context, _given: text


def _bound(words: str, name: str) -> Callable[[Mapping[str, Any], Any], str]:
    return lambda context, _given: f"must be {words} {_shown(context.get(name))}"


_TEXT = "must be text (put it in quotes)"
_SECTION = "must be a section of names and values"
_LIST = "must be a list"
_WHOLE = "must be a whole number"
_MOMENT = "must be a date with time, such as 2026-05-01T22:00:00+02:00"
_BOOLEAN = "must be true or false"

#: Sentences by pydantic's name of the error; each gets the error's context and the value.
_SENTENCES: Mapping[str, Callable[[Mapping[str, Any], Any], str]] = {
    "string_type": _is(_TEXT),
    "dict_type": _is(_SECTION),
    "mapping_type": _is(_SECTION),
    "model_type": _is(_SECTION),
    "model_attributes_type": _is(_SECTION),
    "list_type": _is(_LIST),
    "tuple_type": _is(_LIST),
    "set_type": _is(_LIST),
    "bool_type": _is(_BOOLEAN),
    "bool_parsing": _is(_BOOLEAN),
    "int_type": _is(_WHOLE),
    "int_parsing": _is(_WHOLE),
    "int_from_float": _is(_WHOLE),
    "int_parsing_size": _is(_WHOLE),
    "float_type": _is("must be a number"),
    "float_parsing": _is("must be a number"),
    "finite_number": _is("must be a number"),
    "datetime_type": _is(_MOMENT),
    "datetime_parsing": _is(_MOMENT),
    "datetime_from_date_parsing": _is(_MOMENT),
    "datetime_object_invalid": _is(_MOMENT),
    "timezone_aware": _is(
        "has no time zone. Fix: write Z for UTC or the offset at its end, such as 2026-05-01T22:00:00+02:00"
    ),
    "time_delta_type": _is("must be a duration, such as 90s, 15m, 24h or 7d"),
    "time_delta_parsing": _is("must be a duration, such as 90s, 15m, 24h or 7d"),
    "greater_than": _bound("more than", "gt"),
    "greater_than_equal": _bound("at least", "ge"),
    "less_than": _bound("less than", "lt"),
    "less_than_equal": _bound("at most", "le"),
    "literal_error": _one_of,
    "enum": _one_of,
    "union_tag_invalid": _tag,
    "string_pattern_mismatch": _form,
    "string_too_short": lambda context, _given: _characters(context, few=True),
    "string_too_long": lambda context, _given: _characters(context, few=False),
    "too_short": lambda context, _given: _items(context, few=True),
    "too_long": lambda context, _given: _items(context, few=False),
}


def joined(problems: list[Mistake]) -> list[Mistake]:
    """One sentence per place: a value that may be of several types fails each of them in a sentence of its own."""
    by_path: dict[ConfigPath, list[str]] = {}
    for path, message in problems:
        by_path.setdefault(path, []).append(message)
    return [
        (path, " or ".join(dict.fromkeys(m.removeprefix("must be ") if i else m for i, m in enumerate(messages))))
        for path, messages in by_path.items()
    ]


def documented(model: type[BaseModel], path: ConfigPath) -> str:
    """Where the documentation describes the place ``path``: the heading and the page."""
    names = [one.__name__ for one in _owners(model, path)]
    if not names or names[0] == model.__name__:
        return f"'bridge.yaml' in {PAGE}"
    return f"'{names[0]}' in {PAGE}"


def _owners(model: type[BaseModel], path: ConfigPath) -> list[type[BaseModel]]:
    """The models that describe where ``path`` ends: those of the innermost section on the way."""
    candidates: list[type[BaseModel]] = [model]
    for step in path[:-1]:
        following: list[type[BaseModel]] = []
        for candidate in candidates:
            field = _fields(candidate).get(step) if isinstance(step, str) else None
            annotation = field.annotation if field else None
            following += list(_models(annotation)) if annotation is not None else []
        candidates = following or candidates
    return candidates


def _siblings(model: type[BaseModel], path: ConfigPath) -> list[str]:
    """Names allowed where ``path`` ends, as far as the models tell."""
    return sorted({name for candidate in _owners(model, path) for name in _fields(candidate)})


def _fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """A model's fields by the names that the file uses."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _models(argument)
