"""``connect`` and ``disconnect``: a person consents to a connection in the browser, or takes that back."""

from __future__ import annotations

import asyncio
import sys
import webbrowser
from collections.abc import Callable
from typing import Annotated

import typer

from app.consents import Consents
from app.container import Container
from cli.browser import Answer, listening, read_answer
from cli.runtime import err, fail, out, run
from shared.core.errors import BridgeError
from shared.core.tokens import ConsentFlow, ConsentRequest, StoredToken

_Connection = Annotated[str, typer.Argument(help="Name of the connection in bridge.yaml.")]


def connect(
    connection: _Connection,
    paste: Annotated[
        bool, typer.Option("--paste", help="No browser here: show the address, and paste where it led to.")
    ] = False,
    with_password: Annotated[
        bool,
        typer.Option(
            "--with-password",
            help="Ask for user name and password (or read both, a line each, from standard input), and keep the token "
            "only. Needs the password grant on the instance.",
        ),
    ] = False,
    wait: Annotated[int, typer.Option(min=10, max=3600, help="Seconds to wait for the browser.")] = 600,
) -> None:
    """Log in to a connection as its integration user; the token goes into Key Vault, and no password is kept.

    Opens the browser. What waits for the connection is delivered afterwards, without a deployment.
    """
    if paste and with_password:
        fail("--paste and --with-password exclude each other")

    run(lambda services: connecting(services, connection, paste=paste, with_password=with_password, wait=wait))


async def connecting(
    services: Container,
    connection: str,
    *,
    paste: bool = False,
    with_password: bool = False,
    wait: float = 600,
    open_browser: Callable[[str], object] = webbrowser.open,
) -> None:
    """What ``connect`` does. Raises BridgeError, and typer.Exit after it said why.

    Args:
        services: of this process.
        connection: its name.
        paste: no browser here.
        with_password: user name and password instead of a browser.
        wait: seconds to wait for the browser.
        open_browser: shows an address to the person.
    """
    consents = Consents(services)
    flow = consents.flow(connection)
    if with_password:
        token = await _by_password(flow)
    else:
        request = flow.ask()
        answer = await (_pasted(request) if paste else _listened(request, wait, open_browser))
        if answer.error:
            fail(f"the consent was not given: {answer.error}", 1)
        token = await flow.redeem(request, answer.code)
    problem = await consents.keep(connection, flow, token)
    ends = f"; it ends on {token.ends:%Y-%m-%d}" if token.ends is not None else ""
    out.print(f"the token is in {flow.place}{ends}", markup=False)
    if problem:
        err.print(f"the token before was not revoked: {problem}", style="yellow", markup=False)
    await _show_account(connection, flow)


def disconnect(connection: _Connection) -> None:
    """Take the consent to a connection back: revoke its tokens at the ticket system, and forget them.

    What is for the connection waits on the queue until somebody connects it again.
    """

    run(lambda services: disconnecting(services, connection))


async def disconnecting(services: Container, connection: str) -> None:
    """What ``disconnect`` does. Raises BridgeError, and typer.Exit after it said why."""
    consents = Consents(services)
    flow = consents.flow(connection)
    there, problem = await consents.end(connection, flow)
    out.print(f"no token is kept any more; what is for {connection} waits", markup=False)
    if problem:
        fail(f"not every token was revoked: {problem}", 1)
    out.print("the tokens are revoked" if there else "there was no token", markup=False)


async def _by_password(flow: ConsentFlow) -> StoredToken:
    if sys.stdin.isatty():
        user = typer.prompt("User name")
        password = typer.prompt("Password", hide_input=True)
    else:
        user, password = (sys.stdin.readline().rstrip("\r\n") for _ in range(2))
    if not user or not password:
        fail("user name and password are needed: a line each")
    return await flow.by_password(user, password)


async def _listened(request: ConsentRequest, wait: float, open_browser: Callable[[str], object]) -> Answer:
    try:
        async with listening(request.redirect, request.state) as answered:
            out.print("Log in as the integration user, not as yourself, and allow access:", markup=False)
            out.print(request.url, markup=False)
            await asyncio.to_thread(open_browser, request.url)
            return await asyncio.wait_for(answered, wait)
    except TimeoutError:
        fail(f"nobody answered within {wait:g} seconds", 1)
    except (OSError, ValueError) as error:
        fail(f"{request.redirect} cannot be listened to ({error}). Fix: free the port, or use --paste", 1)


async def _pasted(request: ConsentRequest) -> Answer:
    out.print("Open this address anywhere, log in as the integration user, and allow access:", markup=False)
    out.print(request.url, markup=False)
    out.print("The browser then goes to an address that may show an error. Copy it from the address bar.")
    try:
        return read_answer(await asyncio.to_thread(typer.prompt, "Address"), request.state)
    except ValueError as error:
        fail(f"{error}. Fix: begin again, and paste the whole address", 1)


async def _show_account(connection: str, flow: ConsentFlow) -> None:
    """As whom the instance knows us now."""
    try:
        account = await flow.account()
    except BridgeError as error:
        fail(f"the token is stored; a first call with it failed: {error}", 1)
    roles = "roles are not visible to it" if account.roles is None else f"roles: {', '.join(account.roles) or 'none'}"
    out.print(f"connected as '{account.user_name or 'an unknown user'}' ({roles})", markup=False)
    for advice in account.advice:
        err.print(advice, style="yellow", markup=False)
    out.print(
        f"Not the integration user? With single sign-on the browser takes your own account. Use 'Not you?' on the "
        f"page, or a private window, or the page side_door.do of the instance, and run 'connect {connection}' again.",
        markup=False,
    )
