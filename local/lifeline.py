"""Runs a module as a child that never outlives its parent:  python -m local.lifeline MODULE [ARGUMENT ...]

The parent keeps the other end of the child's standard input open and writes nothing. When the parent ends, however it
ends, the kernel closes that end, and the child stops itself with SIGTERM: in order, as if it had been asked to.
(Linux could signal the child by itself, PR_SET_PDEATHSIG, but then the end of the *thread* that started the child
counts, and no other system has it.)
"""

from __future__ import annotations

import os
import runpy
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[1]
#: Variable of the environment that names a folder of the parent: the child removes it when the parent ended without
#: stopping the child, because such a parent was killed and cannot remove it.
FOLDER = "LOCAL_LIFELINE_FOLDER"

#: Seconds that a child has to stop in order before it is killed.
_PATIENCE = 15.0


def start(module: str, arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start ``module`` as a child with its stdout piped and its stderr shared.

    It is in a process group of its own, so that a Ctrl-C in the terminal reaches only the parent, who stops its
    children in the right order.
    """
    return subprocess.Popen([sys.executable, "-m", __spec__.name, module, *arguments], **options(environment))


def options(environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Keyword arguments of Popen for such a child, and of asyncio's create_subprocess_exec but for ``text``."""
    return {
        "stdin": subprocess.PIPE,
        "stdout": subprocess.PIPE,
        "text": True,
        "cwd": _ROOT,
        "env": None if environment is None else dict(environment),
        "start_new_session": True,
    }


def stop(child: subprocess.Popen[str], patience: float = _PATIENCE) -> int:
    """Ask the child to end, wait, kill it after ``patience`` seconds; its exit code.

    Its stdout is left to whoever reads it.
    """
    child.terminate()
    try:
        code = child.wait(patience)
    except subprocess.TimeoutExpired:
        child.kill()
        code = child.wait()
    assert child.stdin is not None
    child.stdin.close()
    return code


def _watch(folder: str) -> None:
    while os.read(0, 4096):
        pass
    if folder:
        shutil.rmtree(folder, ignore_errors=True)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_PATIENCE)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    abandoned = os.environ.pop(FOLDER, "")  # not for the children of this child
    threading.Thread(target=_watch, args=(abandoned,), name="lifeline", daemon=True).start()
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
