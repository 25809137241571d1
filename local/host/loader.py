"""Loads function_app.py and turns what its decorators declared into :class:`Function` values.

Only the public interface of azure.functions is used: ``get_functions()`` and the dictionaries of triggers, bindings
and settings. Checks follow those of the Python worker, so that what is refused in Azure is refused here.
Source: Microsoft Learn, "Azure Functions developer reference guide for Python apps", v2 programming model.
"""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import azure.functions as func

from local.host.bindings import Function, HttpTrigger, QueueOutput, QueueTrigger, TimerTrigger
from local.host.errors import HostError
from local.host.schedule import check_schedule
from local.host.settings import connection_string, expand

MODULE = "function_app"
_QUEUE_NAME = re.compile(r"[a-z0-9](?:[a-z0-9]|-(?!-)){1,61}[a-z0-9]")
#: Fields that are names of settings or of parameters and therefore never hold ``%NAME%`` references.
_PLAIN = {"type", "name", "connection"}


def import_app(app: Path) -> ModuleType:
    """Import ``app/function_app.py`` anew; ``app`` has to be on the module path for what it imports in turn.

    Raises HostError with the reason; what the module itself raises is its ``__cause__``.
    """
    file = app / f"{MODULE}.py"
    spec = importlib.util.spec_from_file_location(MODULE, file)
    if not file.is_file() or spec is None or spec.loader is None:
        raise HostError(f"{app} has no {MODULE}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[MODULE] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # the app's own code runs here and may raise anything
        sys.modules.pop(MODULE, None)
        raise HostError(f"{file} cannot be imported: {type(error).__name__}: {error}") from error
    return module


def find_functions(module: ModuleType, settings: Mapping[str, str], only: frozenset[str] | None) -> list[Function]:
    """All functions of the app that are enabled, in the order of their declaration.

    Args:
        settings: to resolve ``%NAME%``, connections and ``AzureWebJobs.<name>.Disabled``.
        only: names to keep, None for all.

    Raises HostError for anything that Azure would refuse or that this host cannot run.
    """
    apps = {id(value): value for value in vars(module).values() if isinstance(value, func.FunctionRegister)}
    if len(apps) != 1:
        raise HostError(f"{MODULE}.py has to define exactly one function app, it defines {len(apps)}")
    try:
        declared = next(iter(apps.values())).get_functions()
    except ValueError as error:  # no trigger, or a name used twice
        raise HostError(str(error)) from None
    if not declared:
        raise HostError(f"{MODULE}.py defines no functions")
    return [_function(one, settings) for one in declared if _enabled(str(one.get_function_name()), settings, only)]


def _enabled(name: str, settings: Mapping[str, str], only: frozenset[str] | None) -> bool:
    disabled = settings.get(f"AzureWebJobs.{name}.Disabled", "").lower() in ("1", "true")
    return not disabled and (only is None or name in only)


def _function(declared: Any, settings: Mapping[str, str]) -> Function:
    name = str(declared.get_function_name())
    call = declared.get_user_function()
    try:
        hints = typing.get_type_hints(call)
    except (NameError, TypeError) as error:
        raise HostError(f"function {name}: its annotations cannot be resolved: {error}") from None
    parameters = set(inspect.signature(call).parameters)
    if declared.get_settings_dict("retry_policy"):
        raise HostError(f"function {name}: retry policies are not supported here")
    trigger_at = declared.get_trigger()
    fields = [_resolved(binding.get_dict_repr(), settings, name) for binding in declared.get_bindings()]
    at = [binding is trigger_at for binding in declared.get_bindings()].index(True)
    trigger = _trigger(fields.pop(at), settings, hints, name)
    outputs = tuple(_output(one, settings, hints, name) for one in fields if not _is_http_response(one, trigger))
    bound = {trigger.arg, *(output.arg for output in outputs)} - {"$return"}
    wants_context = "context" in parameters and "context" not in bound
    unbound, missing = parameters - bound - {"context"}, bound - parameters
    if unbound:
        raise HostError(f"function {name}: no binding for its parameters {sorted(unbound)}")
    if missing:
        raise HostError(f"function {name}: it has no parameters for its bindings {sorted(missing)}")
    return Function(name, call, inspect.iscoroutinefunction(call), trigger, outputs, wants_context)


def _resolved(binding: Mapping[str, Any], settings: Mapping[str, str], name: str) -> dict[str, Any]:
    return {
        key: expand(value, settings, f"function {name}, {key}")
        if isinstance(value, str) and key not in _PLAIN
        else value
        for key, value in binding.items()
    }


def _trigger(
    binding: dict[str, Any], settings: Mapping[str, str], hints: Mapping[str, Any], name: str
) -> HttpTrigger | QueueTrigger | TimerTrigger:
    kind, arg = binding["type"], binding["name"]
    where = f"function {name}"
    if kind == "httpTrigger":
        _check_hint(hints, arg, (func.HttpRequest,), where)
        methods = [str(getattr(method, "value", method)).upper() for method in binding.get("methods") or ()]
        level = str(getattr(binding.get("authLevel"), "value", binding.get("authLevel") or "function")).lower()
        return HttpTrigger(arg, binding["route"], frozenset(methods) or None, level)
    if kind == "queueTrigger":
        _check_hint(hints, arg, (func.QueueMessage, str), where)
        queue = _queue_name(binding["queueName"], where)
        connection = connection_string(binding.get("connection", ""), settings, where)
        return QueueTrigger(arg, queue, connection, as_text=hints.get(arg) is str)
    if kind == "timerTrigger":
        _check_hint(hints, arg, (func.TimerRequest,), where)
        try:
            check_schedule(binding["schedule"])
        except ValueError as error:
            raise HostError(f"{where}: {error}") from None
        monitor = binding.get("useMonitor", True)
        return TimerTrigger(arg, binding["schedule"], bool(binding.get("runOnStartup")), bool(monitor))
    raise HostError(f"{where}: trigger {kind} is not supported here, only HTTP, queue and timer triggers are")


def _output(binding: dict[str, Any], settings: Mapping[str, str], hints: Mapping[str, Any], name: str) -> QueueOutput:
    where = f"function {name}"
    if binding["type"] != "queue":
        raise HostError(f"{where}: binding {binding['type']} is not supported here, only queue outputs are")
    arg = binding["name"]
    if arg != "$return" and arg in hints:
        _check_out(hints[arg], arg, where)
    connection = connection_string(binding.get("connection", ""), settings, where)
    return QueueOutput(arg, _queue_name(binding["queueName"], where), connection)


def _check_out(hint: Any, arg: str, where: str) -> None:
    if typing.get_origin(hint) is not func.Out:
        raise HostError(f"{where}: parameter {arg} is an output and has to be annotated as func.Out[...]")
    inner = typing.get_args(hint)[0]
    if isinstance(inner, types.GenericAlias):
        raise HostError(
            f"{where}: the Python worker refuses func.Out[{inner}] for {arg}; write func.Out[typing.List[str]] "
            "(issue 1176 of Azure/azure-functions-python-worker)"
        )


def _is_http_response(binding: Mapping[str, Any], trigger: HttpTrigger | QueueTrigger | TimerTrigger) -> bool:
    return binding["type"] == "http" and isinstance(trigger, HttpTrigger)


def _check_hint(hints: Mapping[str, Any], arg: str, allowed: tuple[type, ...], where: str) -> None:
    hint = hints.get(arg, allowed[0])
    if not (isinstance(hint, type) and issubclass(hint, allowed)):
        names = " or ".join(kind.__name__ for kind in allowed)
        raise HostError(f"{where}: parameter {arg} has to be annotated as {names}")


def _queue_name(name: str, where: str) -> str:
    if "{" in name:
        raise HostError(f"{where}: queue name {name!r}: binding expressions in braces are not supported here")
    if not _QUEUE_NAME.fullmatch(name.lower()):
        raise HostError(f"{where}: {name!r} is no queue name (3 to 63 letters, digits and single dashes)")
    return name.lower()
