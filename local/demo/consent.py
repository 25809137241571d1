"""The demo's part about consent: ``bridge.py connect`` opens a browser, a person logs in, and no password is stored."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
from typing import Any

from local.demo.surroundings import Surroundings
from local.running import NotRunning, Running
from local.up import APP

CONNECTION = "by-consent"

#: What the demo adds to the connections of the shipped configuration. ``{port}``: where the browser goes back.
CONNECTIONS = """\
connections:
  # Added by the demo: the same instance, with a person's consent instead of a stored password.
  by-consent:
    type: servicenow
    url: ${{SERVICENOW_URL}}
    auth:
      type: oauth_authorization_code
      client_id: ${{SERVICENOW_CLIENT_ID}}
      client_secret: {{secret: servicenow-client-secret}}
      refresh_token: {{secret: servicenow-refresh-token}}
      redirect_url: http://127.0.0.1:{port}/
"""
ROUTE = """\
  - name: consented
    when: {custom_properties: {connection: by-consent}}
    connection: by-consent
"""

_PATIENCE = 60.0


def free_port() -> int:
    """A port of this machine on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Consent(Surroundings):
    """Connects the connection, while other stories go on.

    Args:
        running: the app.
        port: where the browser goes back.
    """

    def __init__(self, running: Running, port: int) -> None:
        super().__init__(running)
        self._register(f"http://127.0.0.1:{port}/")
        session = running.session["session_file"]
        browser = [sys.executable, "-m", "local.demo.browser", session]
        self._command = subprocess.Popen(
            [sys.executable, "bridge.py", "--session", session, "connect", CONNECTION],
            cwd=APP,
            env={**os.environ, "BROWSER": f"{shlex.join(browser)} %s", "NO_COLOR": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def connected(self) -> str:
        """Wait until somebody has consented; what the command said. Raises NotRunning when it does not work."""
        try:
            said, _ = self._command.communicate(timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            self.close()
            raise NotRunning("bridge.py connect did not end in time") from None
        if self._command.returncode != 0:
            raise NotRunning(f"bridge.py connect failed: {said.strip()[-600:]}")
        return said

    def close(self) -> None:
        """End the command, if it still runs."""
        if self._command.poll() is None:
            self._command.kill()
            self._command.communicate()

    def _register(self, redirect: str) -> None:
        """An administrator adds a redirect URL to the registry record of the bridge."""
        table, client = f"{self.desk['url']}/api/now/table/oauth_entity", self.desk["client_id"]
        auth = (self.desk["username"], self.desk["password"])
        found = self.running.http.get(table, params={"sysparm_query": f"client_id={client}"}, auth=auth)
        (record,) = found.json()["result"]
        self.change(record["sys_id"], {"redirect_url": f"{record['redirect_url']},{redirect}"}, "oauth_entity")


def with_consent(configuration: str, port: int) -> str:
    """A configuration with the connection and its route in front of all others."""
    added = configuration.replace("connections:\n", CONNECTIONS.format(port=port), 1)
    return added.replace("routes:\n", f"routes:\n{ROUTE}", 1)


def properties() -> dict[str, Any]:
    """Custom properties of an alert for the connection."""
    return {"connection": CONNECTION}
