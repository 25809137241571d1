"""Ports for tests that have to name one before somebody listens on it.

They lie below those that the system gives to whoever asks for any (32768 and above on Linux): nobody gets one by chance
between the choice and the use.
"""

from __future__ import annotations

import contextlib
import random
import socket


def bind_chosen(listener: socket.socket) -> int:
    """Bind a socket to a port of this machine that is free now, and say which."""
    for port in random.sample(range(20_000, 30_000), 100):
        with contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port
    raise AssertionError("a hundred ports are taken")


def free_port() -> int:
    """A port of this machine that is free now."""
    with socket.socket() as probe:
        return bind_chosen(probe)
