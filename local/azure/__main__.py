"""``python -m local.azure``: runs the clouds until SIGTERM or SIGINT.

Prints one line of JSON as soon as both listeners answer: addresses, identities, files (see ``server.Simulator``).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
from pathlib import Path

from local.azure.server import running


async def _serve(arguments: argparse.Namespace) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    options = {"port": arguments.port, "https_port": arguments.https_port}
    async with running(**options, certificates=arguments.certificates, latency=arguments.latency) as simulator:
        print(json.dumps(simulator.as_json()), flush=True)
        await stop.wait()


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(prog="python -m local.azure", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port of the http listener (default: a free one)")
    parser.add_argument("--https-port", type=int, default=0, help="port of the https listener (default: a free one)")
    parser.add_argument("--certificates", type=Path, default=None, help="directory that keeps keys and certificates")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds added to every API call")
    asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
