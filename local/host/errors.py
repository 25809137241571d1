"""What can go wrong in the local host."""

from __future__ import annotations


class HostError(Exception):
    """The app, host.json or a setting cannot be used; the text says what and how to mend it."""


class InvocationFailed(Exception):
    """A function raised, ran too long, or returned something its bindings cannot take. Already logged."""


class OutputFailed(Exception):
    """A function succeeded, but its output could not be written to storage. Already logged."""
