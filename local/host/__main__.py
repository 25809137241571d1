"""``python -m local.host``: run a function app on this machine."""

from __future__ import annotations

import argparse
import asyncio
import errno
import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

from local.host import log
from local.host.errors import HostError
from local.host.keys import Keys, make_keys
from local.host.supervisor import UNUSABLE, Supervisor

_logger = logging.getLogger("local.host")


def main() -> None:
    """Serve until SIGTERM or SIGINT. Exit codes: 0 stopped, 1 a worker kept dying, 2 the app cannot be used."""
    # One line goes to stdout, for programs. Whatever the app prints belongs with the log.
    stdout = os.dup(1)
    os.dup2(2, 1)
    parser = _parser()
    options = parser.parse_args()
    if options.workers < 1 or options.queue_lease < 1 or options.grace < 0:
        parser.error("--workers and --queue-lease have to be at least 1, --grace at least 0")
    if not 0 <= options.port <= 65535 or not options.app.is_dir():
        parser.error("--port has to be from 0 to 65535, --app an existing folder")
    log.configure(options.log, getattr(logging, options.log_level.upper()), show_pid=options.worker)
    try:
        keys = make_keys(options.key, options.admin_key, options.keys_file)
        code = asyncio.run(_supervise(options, keys, stdout) if options.workers > 1 else _serve(options, keys, stdout))
    except HostError as error:
        _logger.critical("%s", error, exc_info=error.__cause__)
        code = UNUSABLE
    sys.stdout.flush()
    sys.stderr.flush()
    # As in Azure the process just ends. Python itself would wait for threads in which functions are stuck, and complain
    # of connections that the app keeps open, which has no way to be told of the end.
    os._exit(code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m local.host",
        description="Run a Python (v2) function app on this machine, with HTTP, queue and timer triggers.",
        epilog="Once it serves, one line of JSON on stdout tells url, key, admin_key and pid. The log is on stderr.",
    )
    add = parser.add_argument
    add("--app", type=Path, default=Path(), metavar="DIR", help="folder with function_app.py (default: this one)")
    add("--port", type=int, default=7071, help="on 127.0.0.1, 0 for a free one (default: 7071)")
    add("--key", action="append", default=[], help="a function key, may be repeated (default: a new one)")
    add("--admin-key", help="opens everything, and /admin (default: a new one)")
    add("--keys-file", type=Path, metavar="FILE", help='keys as JSON: {"function": ["..."], "admin": "..."}')
    add("--queue-lease", type=float, default=30.0, metavar="S",
        help="seconds until the messages of a killed process come back (default: 30)")  # fmt: skip
    add("--asleep", type=Path, metavar="FILE",
        help='JSON array of functions that are not called, ["*"] for all; may change at any time')  # fmt: skip
    add("--grace", type=float, default=5.0, metavar="S",
        help="seconds that running functions have to finish at a stop (default: 5)")  # fmt: skip
    add("--workers", type=int, default=1, metavar="N", help="processes that share port and queues (default: 1)")
    add("--log", choices=("text", "json"), default="text", help="form of the log lines (default: text)")
    add("--log-level", choices=("debug", "info", "warning", "error"), default="info", help="(default: info)")
    add("--worker", action="store_true", help=argparse.SUPPRESS)
    return parser


async def _serve(options: argparse.Namespace, keys: Keys, stdout: int) -> int:
    from local.host.server import Host

    stop = _stop_signal()
    os.chdir(options.app)  # as in Azure: the app finds its files by relative names
    host = Host(
        Path(),
        port=options.port,
        keys=keys,
        queue_lease=options.queue_lease,
        asleep=options.asleep,
        grace=options.grace,
        share_port=options.worker,
    )
    try:
        await host.start()
        _tell(stdout, url=host.url, pid=os.getpid(), key=keys.function[0], admin_key=keys.admin)
        await stop.wait()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise HostError(_taken(options.port)) from None
        raise
    finally:
        await host.stop()
    return 0


async def _supervise(options: argparse.Namespace, keys: Keys, stdout: int) -> int:
    stop = _stop_signal()
    arguments = [
        *("--app", str(options.app.resolve())),
        *("--queue-lease", str(options.queue_lease), "--grace", str(options.grace)),
        *(("--asleep", str(options.asleep.resolve())) if options.asleep is not None else ()),
        *("--log", options.log, "--log-level", options.log_level),
    ]
    supervisor = Supervisor(options.workers, arguments, keys, options.port, options.grace + 10)
    try:
        url = supervisor.reserve()
    except OSError:
        raise HostError(_taken(options.port)) from None
    return await supervisor.run(
        stop, lambda: _tell(stdout, url=url, pid=os.getpid(), key=keys.function[0], admin_key=keys.admin)
    )


def _stop_signal() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def _taken(port: int) -> str:
    return f"port {port} is taken by another program; stop that one or choose another port with --port"


def _tell(stdout: int, **facts: Any) -> None:
    """Write the one line and close stdout."""
    with os.fdopen(stdout, "w") as stream:
        stream.write(json.dumps(facts) + "\n")


if __name__ == "__main__":
    main()
