"""Resource Manager's error bodies: ``{"error": {"code", "message", "details"}}`` (docs: "Common error codes")."""

from __future__ import annotations

from typing import Any

from local.azure.call import Refusal
from local.simulator_kit.calls import Answer


def arm_error(
    status: int, code: str, message: str, *headers: tuple[str, str], details: list[dict[str, Any]] | None = None
) -> Refusal:
    """A refusal in Resource Manager's shape."""
    error: dict[str, Any] = {"code": code, "message": message}
    if details is not None:
        error["details"] = details
    return Refusal(Answer(status, {"error": error}, headers=list(headers)), note=f"{code}: {message}")


def bad_request(message: str, code: str = "BadRequest") -> Refusal:
    """400: a parameter or the body does not fit."""
    return arm_error(400, code, message)


def not_found(resource: str) -> Refusal:
    """404 for something that does not exist."""
    return arm_error(404, "ResourceNotFound", f"The Resource '{resource}' was not found.")
