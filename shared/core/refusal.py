"""A request that cannot be fulfilled, and its mistakes. Free of HTTP: ``shared.web.answers`` gives the status."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class RefusalReason(StrEnum):
    """Why a request is refused."""

    INVALID = "invalid"  #: the request itself has mistakes
    NOT_ALLOWED = "not_allowed"  #: the configuration does not allow it
    NOT_FOUND = "not_found"  #: what the request is about does not exist
    CONFLICT = "conflict"  #: the present state of the thing does not allow it
    UNKNOWN_VALUE = "unknown_value"  #: the request names a person, field or section that does not exist
    UPSTREAM_REFUSED = "upstream_refused"  #: another system refused; somebody has to change rights or configuration
    UNAVAILABLE = "unavailable"  #: another system is busy or unreachable; the same request may succeed later


@dataclass(frozen=True, slots=True)
class RequestMistake:
    """One thing that is wrong with a request.

    Attributes:
        field: name of the field, with dots between levels; empty for the request as a whole.
        message: what is wrong, and how to fix it.
        suggestions: values that may have been meant.
    """

    field: str
    message: str
    suggestions: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """The message as a sentence, with the suggestions."""
        text = self.message if self.message.endswith((".", "!", "?")) else f"{self.message}."
        text = f"{text[:1].upper()}{text[1:]}"
        return f"{text} Did you mean {', '.join(self.suggestions)}?" if self.suggestions else text


class RequestRefused(Exception):
    """A request that cannot be fulfilled; unless the mistakes say otherwise, nothing was written.

    Attributes:
        reason: why, for programs.
        title: why, in a few words.
        mistakes: at least one.
        retry_after: seconds after which the same request may succeed; None when it says nothing about that.
    """

    def __init__(
        self,
        reason: RefusalReason,
        title: str,
        mistakes: Iterable[RequestMistake],
        *,
        retry_after: int | None = None,
    ) -> None:
        self.reason = reason
        self.title = title
        self.mistakes = tuple(mistakes)
        self.retry_after = retry_after
        super().__init__(
            " ".join(f"'{one.field}': {one.sentence}" if one.field else one.sentence for one in self.mistakes)
        )


def not_configured(detail: str) -> RequestRefused:
    """The refusal of a request for something that bridge.yaml does not have."""
    return RequestRefused(RefusalReason.NOT_FOUND, "Not configured", [RequestMistake("", detail)])
