"""``python -m local``: run the bridge and all it needs on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from local.up import APP, Options, run

app = typer.Typer(
    help="Run Azure ITSM Bridge on this machine: no Azure subscription, no ServiceNow instance.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def up(
    port: Annotated[int, typer.Option(help="Port of the app. 0: 7071, or a free one when that is taken.")] = 0,
    config: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="The bridge's configuration (setting BRIDGE_CONFIG)."),
    ] = None,
    servicenow_url: Annotated[
        str | None,
        typer.Option(
            help="Use this instance in place of the simulator. Its secrets come from your environment or "
            "local.settings.json: SERVICENOW_PASSWORD and so on."
        ),
    ] = None,
    servicenow_username: Annotated[str | None, typer.Option(help="User at that instance.")] = None,
    data: Annotated[
        Path | None,
        typer.Option(file_okay=False, help="Keep storage, tickets and keys in this folder over restarts."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that run the app.")] = 1,
    latency: Annotated[
        float | None, typer.Option(min=0, help="Seconds that the simulator takes for each answer.")
    ] = None,
    queue_lease: Annotated[
        float, typer.Option(min=1, help="Seconds until the messages of a killed worker come back.")
    ] = 30.0,
    asleep: Annotated[
        list[str] | None,
        typer.Option(
            help="A function of a queue or timer that is not called, as happens in Azure at times; * for all. May be "
            "repeated. See the command asleep."
        ),
    ] = None,
    function_key: Annotated[str | None, typer.Option(help="Function key of the app; a new one when not given.")] = None,
    clouds: Annotated[
        bool,
        typer.Option(
            "--clouds",
            help="Start a simulator of Entra, Resource Manager and Graph too: for recommendations and Secure Score.",
        ),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Log warnings and errors only.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log everything.")] = False,
    folder: Annotated[Path, typer.Option("--app", exists=True, file_okay=False, hidden=True)] = APP,
) -> None:
    """Start the storage emulator, the ServiceNow simulator and the function app; stop with Ctrl-C.

    Once all of them answer, one line of JSON on stdout tells every URL and key. Everything else goes to stderr.

    Send an alert:

    curl -H "x-functions-key: KEY" -H "content-type: application/json" -d @alert.json ALERTS_URL
    """
    level = "warning" if quiet else "debug" if verbose else "info"
    options = Options(
        app=folder,
        port=port,
        config=config,
        servicenow_url=servicenow_url,
        servicenow_username=servicenow_username,
        data=data,
        workers=workers,
        latency=latency,
        queue_lease=queue_lease,
        asleep=tuple(asleep or ()),
        function_key=function_key,
        clouds=clouds,
        log_level=level,
    )
    raise typer.Exit(run(options))


@app.command("asleep")
def put_asleep(
    functions: Annotated[
        list[str] | None, typer.Argument(help="Functions of queues and timers; * for all. None: all wake up.")
    ] = None,
    *,
    session: Annotated[
        Path, typer.Option(exists=True, dir_okay=False, help="The session_file that a running up prints.")
    ],
) -> None:
    """Let functions sleep: they are not called while HTTP goes on, as happens in Azure at times.

    Example: python -m local asleep deliver resync --session UP.JSON
    """
    from local.host.asleep import write

    write(Path(json.loads(session.read_text())["asleep_file"]), functions or ())


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def demo(
    context: typer.Context,
    leave: Annotated[
        bool, typer.Option("--exit", help="End when the table is drawn; else everything stays up.")
    ] = False,
) -> None:
    """Start everything, send alerts as Azure sends them, and show what became of each.

    Further options are those of "up", for example --data or --port.
    """
    from local.demo.run import run as run_demo

    raise typer.Exit(run_demo(context.args, leave=leave))


@app.command()
def chaos(
    alerts: Annotated[
        int, typer.Option(min=10, help="Alerts of the storm; 'grouped' takes six tenths of it.")
    ] = 10_000,
    workers: Annotated[int, typer.Option(min=2, help="Processes that run the app.")] = 3,
    seed: Annotated[int, typer.Option(help="The same seed makes the same alerts and orders the same troubles.")] = 1,
    queue_lease: Annotated[
        list[float] | None,
        typer.Option(
            min=1,
            metavar="SECONDS",
            help="Kill one more instance early in the storm, whose messages are hidden for so long; may be repeated. "
            "30 stands for the death of the Python process, 600 is what Azure does when an instance is killed; the run "
            "then lasts ten minutes at least.  [default: 30]",
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="A part, may be repeated: storm, batches, export, sleeping, urgent, grouped, opening, efficiency, "
            "recovery."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(dir_okay=False, help="Where the figures are written as JSON.")] = APP
    / "benchmarks"
    / "results"
    / "chaos.json",
) -> None:
    """Make a storm while everything around it breaks, and check that nothing is lost; see docs/chaos.md.

    The exit code is 1 when something broke that must hold. A missed figure is shown, and is no failure.
    """
    from local.chaos.run import parts
    from local.chaos.run import run as run_chaos

    leases = queue_lease or [30.0]
    unknown = set(only or ()) - parts(alerts, workers, seed, leases).keys()
    if unknown:
        raise typer.BadParameter(f"no part {', '.join(sorted(unknown))}")
    raise typer.Exit(run_chaos(alerts, workers, seed, leases, only or [], out))


if __name__ == "__main__":
    app(prog_name="python -m local")
