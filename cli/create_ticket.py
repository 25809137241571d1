"""The command ``tickets create``: a ticket by hand, or the end of its problem."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from app.container import Container
from cli.app_client import configured_app
from cli.preview import read_payload
from cli.runtime import fail, out, run
from shared.core.http import Request
from shared.web.answers import respond


def create(
    key: Annotated[str, typer.Option("--key", help="Identity of the problem: one key, one ticket.")],
    title: Annotated[str, typer.Option("--title", help="One line; required unless --resolved.")] = "",
    text: Annotated[str, typer.Option("--text", help="Description; with --resolved, what the closing note says.")] = "",
    severity: Annotated[int | None, typer.Option("--severity", min=0, max=4, help="0 critical to 4 lowest.")] = None,
    resource: Annotated[
        list[str] | None, typer.Option("--resource", help="ARM id or name of what is affected. May be repeated.")
    ] = None,
    detail: Annotated[
        list[str] | None, typer.Option("--detail", help="NAME=VALUE, for routes and templates. May be repeated.")
    ] = None,
    record: Annotated[
        str, typer.Option("--record", help="JSON file with a row of a log query; - is standard input.")
    ] = "",
    link: Annotated[str, typer.Option("--link", help="Web address of a page that shows more.")] = "",
    requested_by: Annotated[str, typer.Option("--requested-by", help="Who asks for the ticket.")] = "",
    resolved: Annotated[bool, typer.Option("--resolved", help="The problem of the key is over.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what it would become, as preview does; write nothing.")
    ] = False,
    in_app: Annotated[bool, typer.Option("--app", help="Let the deployed app make it.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The answer as JSON.")] = False,
) -> None:
    """Ask for a ticket by hand, or resolve it. The same request again is the same ticket."""
    given: dict[str, Any] = {
        "key": key,
        "state": "resolved" if resolved else "",
        "title": title,
        "text": text,
        "severity": severity,
        "resources": resource,
        "details": dict(map(_pair, detail or ())),
        "record": _record(record) if record else None,
        "link": link,
        "requested_by": requested_by,
    }
    body = {name: value for name, value in given.items() if value not in (None, "", {}, [])}
    endpoint = "preview" if dry_run else "tickets"

    async def here(services: Container) -> None:
        handler = services.handler("preview" if dry_run else "request_ticket")
        answer = await respond(handler, Request("POST", headers={}, body=json.dumps(body).encode()))
        if answer.status >= 400:
            fail(f"{answer.body['title']}: {answer.body['detail']}", 1)
        _show(answer.body, as_json=as_json or dry_run)

    async def in_the_app(_: Container) -> None:
        client = configured_app()
        try:
            _show(await client.call("POST", f"/api/{endpoint}", body), as_json=as_json or dry_run)
        finally:
            await client.aclose()

    run(in_the_app if in_app else here)


def _show(answer: Any, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(answer, indent=2, ensure_ascii=False))
        return
    ticket = answer["ticket"]
    named = f" {ticket['number'] or ticket['id']} {ticket['url'] or ''}".rstrip() if ticket else ""
    why = " ".join(filter(None, (answer.get("rule"), answer.get("reason"))))
    out.print(f"{answer['outcome']}{named}{f': {why}' if why else ''} (signal {answer['signal']})", markup=False)


def _pair(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not found:
        fail(f"--detail {text}: write NAME=VALUE")
    return name, value


def _record(name: str) -> Any:
    try:
        return json.loads(read_payload(name))
    except ValueError as error:
        fail(f"{name} is not JSON: {error}. Fix: give one row as a JSON object")
