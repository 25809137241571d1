"""A person with a browser:  python -m local.demo.browser UP.JSON ADDRESS

Opens the address, logs in to the simulated ServiceNow, presses Allow, and follows where the instance leads: to
``bridge.py connect``, which listens on this machine. The password comes from the file of the session.
"""

from __future__ import annotations

import json
import re
import sys
from html import unescape
from pathlib import Path

import httpx

#: An account of the simulator that may log in to pages, other than the one that is for web services only.
PERSON = "interactive.user"


def consent(session: Path, address: str) -> None:
    """Raises httpx.HTTPError."""
    desk = json.loads(session.read_text("utf-8"))["servicenow"]
    account = {"user_name": PERSON, "user_password": desk["accounts"][PERSON]}
    with httpx.Client(base_url=desk["url"], follow_redirects=True, trust_env=False, timeout=30) as browser:
        page = browser.get(address)
        if "user_password" in page.text:
            page = browser.post("/login.do", data=_hidden(page.text) | account)
        browser.post("/oauth_auth.do", data=_hidden(page.text) | {"choice": "allow"}).raise_for_status()


def _hidden(page: str) -> dict[str, str]:
    """The hidden fields of a page's form."""
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page)
    return {name: unescape(value) for name, value in found}


if __name__ == "__main__":
    consent(Path(sys.argv[1]), sys.argv[2])
