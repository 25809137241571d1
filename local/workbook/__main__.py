"""``python -m local.workbook write``: writes the files of ``infra/export`` and the docs that come from others."""

from __future__ import annotations

import sys

from local.workbook.queries import ROOT
from local.workbook.written import write


def main(arguments: list[str]) -> int:
    """Exit code: 0, or 2 for a wrong call."""
    if arguments != ["write"]:
        print(__doc__, file=sys.stderr)
        return 2
    for file in write():
        print(f"wrote {file.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
