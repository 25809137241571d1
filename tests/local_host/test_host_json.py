from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from local.host.errors import HostError
from local.host.host_json import HostJson, HttpOptions, QueueOptions, SingletonOptions, read_host_json, time_span


def read(folder: Path, settings: dict[str, str] | None = None, **content: Any) -> HostJson:
    (folder / "host.json").write_text(json.dumps({"version": "2.0", **content}))
    return read_host_json(folder, settings or {})


def test_the_defaults_are_those_of_azure(tmp_path: Path) -> None:
    options = read(tmp_path)
    assert options.http == HttpOptions("api", -1, -1, ())
    assert options.queues == QueueOptions(16, 8, 60.0, 5, 0.0, base64=True)
    assert options.function_timeout == 1800.0
    assert options.functions is None
    assert options.warnings == ()


def test_everything_that_can_be_set(tmp_path: Path) -> None:
    options = read(
        tmp_path,
        functionTimeout="1.00:00:30",
        functions=["alerts"],
        extensions={
            "http": {
                "routePrefix": "/v1/",
                "maxConcurrentRequests": 4,
                "maxOutstandingRequests": 8,
                "customHeaders": {"X-Content-Type-Options": "nosniff"},
            },
            "queues": {
                "batchSize": 32,
                "maxPollingInterval": "00:00:02.500",
                "maxDequeueCount": 3,
                "visibilityTimeout": "00:00:30",
                "messageEncoding": "none",
            },
        },
        singleton={"listenerLockPeriod": "00:00:20", "listenerLockRecoveryPollingInterval": "00:00:02"},
    )
    assert options.http == HttpOptions("v1", 4, 8, (("x-content-type-options", "nosniff"),))
    assert options.queues == QueueOptions(32, 16, 2.5, 3, 30.0, base64=False)
    assert options.singleton == SingletonOptions(20, 2.0)
    assert options.function_timeout == 86430.0
    assert options.functions == frozenset({"alerts"})


def test_settings_override_the_file_whatever_their_case(tmp_path: Path) -> None:
    settings = {
        "AzureFunctionsJobHost__extensions__queues__batchSize": "4",
        "AzureFunctionsJobHost__Extensions__Http__RoutePrefix": "",
        "AzureFunctionsJobHost__functionTimeout": "-1",
    }
    options = read(tmp_path, settings, extensions={"queues": {"batchSize": 16, "newBatchThreshold": 1}})
    assert (options.queues.batch_size, options.queues.new_batch_threshold) == (4, 1)
    assert options.http.route_prefix == ""
    assert options.function_timeout is None


def test_names_that_nobody_knows_are_warned_about(tmp_path: Path) -> None:
    options = read(
        tmp_path,
        extentions={},
        logging={"anything": "goes"},
        extensions={"queues": {"batchsise": 1}, "http": {"routePrefx": "", "dynamicThrottlesEnabled": True}},
        singleton={"period": 1},
    )
    assert set(options.warnings) == {
        "extentions is not known",
        "extensions.queues.batchsise is not known",
        "extensions.http.routeprefx is not known",
        "extensions.http.dynamicThrottlesEnabled has no effect here",
        "singleton.period is not known",
    }


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ({"concurrency": {"dynamicConcurrencyEnabled": True}}, "dynamic concurrency is not supported"),
        ({"concurrency": {"dynamicConcurrencyEnabled": "yes"}}, "has to be true or false, not 'yes'"),
        ({"customHandler": {"description": {}}}, "custom handlers are not supported"),
        ({"functionTimeout": "24:00:00"}, "functiontimeout: has to be a time such as 00:00:30"),
        ({"functionTimeout": 30}, "functiontimeout: has to be a time"),
        ({"functions": "alerts"}, "has to be a list of function names"),
        ({"extensions": {"queues": {"batchSize": 33}}}, "batchsize: has to be a whole number from 1 to 32, not 33"),
        ({"extensions": {"queues": {"batchSize": True}}}, "batchsize: has to be a whole number"),
        ({"extensions": {"queues": {"maxDequeueCount": 0}}}, "maxdequeuecount: has to be a whole number from 1"),
        ({"extensions": {"queues": {"maxPollingInterval": "00:02:00"}}}, "has to be from 0.1 to 60 seconds"),
        ({"extensions": {"queues": {"messageEncoding": "utf8"}}}, 'has to be "base64" or "none"'),
        ({"extensions": {"queues": []}}, "extensions.queues: has to be an object"),
        ({"extensions": {"http": {"maxConcurrentRequests": 0}}}, "maxconcurrentrequests: has to be a whole number"),
        ({"extensions": {"http": {"customHeaders": ["x"]}}}, "customheaders: has to be an object"),
        ({"singleton": {"listenerLockPeriod": "00:00:05"}}, "has to be from 15 to 60 seconds"),
    ],
)
def test_what_cannot_be_obeyed_is_refused(tmp_path: Path, content: dict[str, Any], complaint: str) -> None:
    with pytest.raises(HostError, match=complaint):
        read(tmp_path, **content)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(HostError) as refused:
        read(tmp_path, functionTimeout="soon", extensions={"queues": {"batchSize": 0, "visibilityTimeout": "x"}})
    assert len(str(refused.value).splitlines()) == 4


def test_a_folder_without_host_json_or_with_another_version_is_no_app(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"is not a function app: it has no host\.json"):
        read_host_json(tmp_path, {})
    for text, complaint in (
        ("{", "is not JSON"),
        ("[]", '"version": "2.0"'),
        ('{"version": "1.0"}', '"version": "2.0"'),
    ):
        (tmp_path / "host.json").write_text(text)
        with pytest.raises(HostError, match=complaint):
            read_host_json(tmp_path, {})


@pytest.mark.parametrize(
    ("text", "seconds"), [("00:00:00", 0), ("00:00:00.1", 0.1), ("1:2:3", 3723), ("7.00:00:00", 604800)]
)
def test_time_spans(text: str, seconds: float) -> None:
    assert time_span(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "00:60:00", "00:00:60", "24:00:00", "-00:00:01", "00:00", None, 5])
def test_what_is_no_time_span(text: Any) -> None:
    with pytest.raises(ValueError, match="has to be a time"):
        time_span(text)
