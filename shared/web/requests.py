"""Reading requests: a body or a query becomes a pydantic model, or a problem that names every mistake in plain words.

    asked = read_body(request, AssignmentRequest)
    asked = read_query(request, TicketListQuery)

The texts of pydantic are for programmers; :func:`_message` replaces each of them. A model that needs a check of its own
raises :class:`FieldError` (or ValueError) in a validator; its text is shown as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, time
from difflib import get_close_matches
from typing import Annotated, Any, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError

from shared.core.http import Request
from shared.core.refusal import RefusalReason, RequestMistake, RequestRefused
from shared.web.answers import refusal_problem
from shared.web.intake import decode_json

INVALID = "Invalid request"

#: Query parameters that Azure Functions takes for itself. Source: "Work with access keys in Azure Functions".
HOST_PARAMETERS = frozenset({"code", "clientid"})

#: A problem lists this many mistakes and then says how many more there are.
MOST_MISTAKES = 50

_EXPECTED = "Expected: one JSON object, Content-Type application/json."
_SPLIT = "Fix: send several requests."
_LONGEST_NAME = 80
_LONGEST_SHOWN = 300

M = TypeVar("M", bound=BaseModel)


class RequestModel(BaseModel):
    """Base of the models of requests: unknown names are mistakes, and a request does not change once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NoParameters(RequestModel):
    """The query of an endpoint that takes no parameters."""


class FieldError(ValueError):
    """A mistake of one field, raised by a validator of a whole model."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def read_body(request: Request, model: type[M]) -> M:
    """Read the body of a request.

    Raises:
        Problem: 400 that names every mistake, 413 too large, 415 not JSON by its type.
    """
    body = decode_json(request.body, request.header("Content-Type"), expected=_EXPECTED, advice=_SPLIT, read=json.loads)
    if not isinstance(body, dict):
        refused = RequestRefused(RefusalReason.INVALID, INVALID, [RequestMistake("", _EXPECTED)])
        raise refusal_problem(refused)
    return read_values(body, model)


def read_query(request: Request, model: type[M]) -> M:
    """Read the query of a request, without the parameters of the Functions host. Raises Problem: 400 that names every
    mistake."""
    query = {name: value for name, value in request.query.items() if name.lower() not in HOST_PARAMETERS}
    return read_values(query, model, "parameter")


def read_values(values: Mapping[str, Any], model: type[M], called: str = "field") -> M:
    """Read a JSON object. ``called``: what its names are. Raises Problem: 400 that names every mistake."""
    unfit = _not_interchangeable(values)
    if unfit:
        raise refusal_problem(RequestRefused(RefusalReason.INVALID, INVALID, [RequestMistake("", unfit)]))
    try:
        return model.model_validate(values)
    except ValidationError as error:
        found = error.errors(include_url=False)
        mistakes = [_mistake(one, model, called) for one in found[:MOST_MISTAKES]]
        if len(found) > MOST_MISTAKES:
            mistakes.append(RequestMistake("", f"There are {len(found) - MOST_MISTAKES:,} more mistakes."))
        raise refusal_problem(RequestRefused(RefusalReason.INVALID, INVALID, mistakes)) from None


def _not_interchangeable(values: Mapping[str, Any]) -> str:
    """What Python's decoder takes and other programs do not; empty when there is no such thing.

    Source: RFC 8259, sections 6 and 8.2.
    """
    try:
        json.dumps(values, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        return r"A text has half of a surrogate pair, such as \ud800. Fix: send whole characters."
    except ValueError:
        return "A number is NaN, infinite or too large. Fix: send a number that JSON has."
    return ""


def _mistake(error: Mapping[str, Any], model: type[BaseModel], called: str) -> RequestMistake:
    path, kind, context = error["loc"], error["type"], error.get("ctx", {})
    field = ".".join(str(part)[:_LONGEST_NAME] for part in path)
    cause = context.get("error")
    if isinstance(cause, FieldError):
        field = ".".join(filter(None, (field, cause.field)))
    if kind == "extra_forbidden":
        known = _names(model, path[:-1])
        close = tuple(get_close_matches(str(path[-1])[:_LONGEST_NAME], known, n=3, cutoff=0.5))
        listed = f" Known are: {', '.join(known)}." if known and not close else ""
        return RequestMistake(field, f"Unknown {called}.{listed}", close)
    return RequestMistake(field, _message(kind, context, error.get("input"), str(path[-1]) if path else ""))


def _names(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """Names of the fields of the model inside ``model`` to which a path leads."""
    for part in path:
        info = model.model_fields.get(str(part))
        annotation = None if info is None else info.annotation
        inner = next((one for one in (annotation, *get_args(annotation)) if _is_model(one)), None)
        if inner is None:
            return []
        model = inner
    return list(model.model_fields)


def _is_model(found: object) -> bool:
    return isinstance(found, type) and issubclass(found, BaseModel)


#: What is wrong, by the type of pydantic's error.
#: Source: https://docs.pydantic.dev/latest/errors/validation_errors/
_MESSAGES = {
    "missing": "It is required.",
    "string_type": "It must be text.",
    "string_sub_type": "It must be text.",
    "list_type": "It must be a list.",
    "dict_type": "It must be a JSON object.",
    "mapping_type": "It must be a JSON object.",
    "model_type": "It must be a JSON object.",
    "model_attributes_type": "It must be a JSON object.",
    "bool_type": "It must be true or false.",
    "bool_parsing": "It must be true or false.",
    "int_parsing_size": "The number is too large.",
    "none_required": "It must be left out.",
}


def _message(kind: str, context: Mapping[str, Any], given: object, name: str) -> str:
    """What is wrong, in plain words."""
    match kind:
        case "value_error" | "assertion_error":
            return str(context.get("error", ""))[:_LONGEST_SHOWN]
        case "literal_error" | "enum":
            return f"It must be {context['expected']}."
        case "string_too_short":
            return f"It must have at least {_counted(context['min_length'], 'character', 'characters')}."
        case "string_too_long":
            length = len(given) if isinstance(given, str) else 0
            return f"It has {length:,} characters; the limit is {context['max_length']:,}."
        case "too_short":
            return f"It must have at least {_counted(context['min_length'], 'entry', 'entries')}."
        case "too_long":
            length = len(given) if isinstance(given, list | dict) else context["actual_length"]
            return f"There are {length:,} {name}; the limit is {context['max_length']:,}. {_SPLIT}"
    return _MESSAGES.get(kind, "This value is not possible here.")


def _counted(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


# Types of fields


def one_line(text: str) -> str:
    """A text that is one line without control characters. Raises ValueError for any other."""
    if not text.isprintable():
        raise ValueError("Write it on one line, without control characters.")
    return text


#: For ``Annotated[StrictStr, Field(max_length=...), OneLine]``: text on one line.
OneLine = AfterValidator(one_line)


def whole_number(low: int, high: int) -> Callable[[object], int]:
    """A validator for whole numbers between two bounds, as a number or as digits."""

    def read(value: object) -> int:
        text = value if isinstance(value, str) else str(value) if type(value) is int and abs(value) < 10**9 else ""
        if not (text.isascii() and text.isdigit() and len(text) < 10 and low <= int(text) <= high):
            raise ValueError(f"It must be a whole number from {low} to {high:,}.")
        return int(text)

    return read


def _yes_no(value: object) -> bool:
    if value in ("true", "false") or isinstance(value, bool):
        return value in ("true", True)
    raise ValueError("It must be true or false.")


#: True or false, also as text.
YesNo = Annotated[bool, BeforeValidator(_yes_no)]


def _moment(value: object) -> datetime:
    try:
        if isinstance(value, str) and len(value) >= len("2026-01-02"):
            moment = datetime.fromisoformat(value)
            # In UTC at once: near the ends of the calendar the conversion fails.
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ValueError("It must be a time such as 2026-01-02T03:04:05Z.")


#: A moment in UTC; without a zone it is taken for UTC.
Moment = Annotated[datetime, BeforeValidator(_moment)]


def _due_date(value: object) -> datetime:
    if not isinstance(value, str):
        raise ValueError("It must be text: a date.")
    text = value.strip()
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII):
            return datetime.combine(datetime.fromisoformat(text).date(), time(23, 59, 59), UTC)
        found = datetime.fromisoformat(text)
        if found.tzinfo is not None and "T" in text.upper():
            return found.astimezone(UTC).replace(microsecond=0)
    except (ValueError, OverflowError):
        pass
    raise ValueError(f"'{text[:60]}' is not a date. Fix: write 2026-01-31, or 2026-01-31T17:00:00Z with its zone.")


#: A due date, UTC, in whole seconds. A date without a time is the end of that day.
DueDate = Annotated[datetime, BeforeValidator(_due_date)]


def past_mistake(due: datetime, now: datetime) -> RequestMistake | None:
    """The mistake of a ``due_date`` that is not in the future; None when it is."""
    if due > now:
        return None
    detail = f"{due:%Y-%m-%dT%H:%MZ} is in the past. Fix: name a moment after {now.astimezone(UTC):%Y-%m-%dT%H:%MZ}."
    return RequestMistake("due_date", detail)
