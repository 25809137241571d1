"""``python -m local.servicenow``: runs an instance until SIGTERM or SIGINT.

Prints one line of JSON as soon as both listeners answer: addresses, accounts, keys (see ``server.Simulator``).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
from pathlib import Path

from local.servicenow.server import running


async def _serve(arguments: argparse.Namespace) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    options = {"port": arguments.port, "https_port": arguments.https_port}
    async with running(**options, data=arguments.data, latency=arguments.latency) as simulator:
        print(json.dumps(simulator.as_json()), flush=True)
        await stop.wait()


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(prog="python -m local.servicenow", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port of the http listener (default: a free one)")
    parser.add_argument("--https-port", type=int, default=0, help="port of the https listener (default: a free one)")
    parser.add_argument("--data", type=Path, default=None, help="directory that keeps the state across restarts")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds added to every API call")
    asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
