"""The command line of a simulator: ``python -m local.<name>`` runs it until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from local.simulator_kit.server import Endpoints

#: Starts a simulator, with the arguments ``port``, ``https_port``, ``latency`` and those of its directories.
Running = Callable[..., AbstractAsyncContextManager[Endpoints]]


def main(package: str, description: str | None, running: Running, directories: dict[str, str]) -> None:
    """Read the arguments and serve; prints one line of JSON as soon as both listeners answer.

    Args:
        package: for the help: what ``python -m`` is called with.
        description: for the help.
        running: starts the simulator.
        directories: further options of ``running`` that name a directory, with their help.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {package}", description=description)
    parser.add_argument("--port", type=int, default=0, help="port of the http listener (default: a free one)")
    parser.add_argument("--https-port", type=int, default=0, help="port of the https listener (default: a free one)")
    for name, text in directories.items():
        parser.add_argument(f"--{name}", type=Path, default=None, help=text)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds added to every API call")
    asyncio.run(_serve(running, vars(parser.parse_args())))


async def _serve(running: Running, options: dict[str, Any]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running(**options) as simulator:
        print(json.dumps(simulator.as_json()), flush=True)
        await stop.wait()
