"""The operator's command line: ``.venv/bin/python bridge.py --help``. Its commands are in ``cli/``. Never deployed.

Another interpreter, which does not have the packages, hands over to that of ``.venv`` beside this file.
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

_OWN = Path(__file__).resolve().parent / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _hand_over() -> None:
    """Go on with the interpreter of ``.venv`` where this one has no typer. Exits with a hint when there is none."""
    if find_spec("typer") is not None:
        return
    if not _OWN.is_file() or Path(sys.executable) == _OWN:
        sys.exit(
            "The packages of requirements-tools.txt are not installed. Fix: run 'make setup', then use " + str(_OWN)
        )
    os.execv(_OWN, [str(_OWN), *sys.argv])  # noqa: S606 - our own interpreter and arguments


if __name__ == "__main__":
    _hand_over()
    from cli import app

    app()
