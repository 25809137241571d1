"""The operator's command line: ``python bridge.py --help``. Its commands are in ``cli/``. Never deployed."""

from cli import app

if __name__ == "__main__":
    app()
