from __future__ import annotations

import json
from pathlib import Path

import pytest

from local.host.errors import HostError
from local.host.settings import connection_string, expand, read_settings


def write(folder: Path, content: object) -> None:
    (folder / "local.settings.json").write_text(json.dumps(content))


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    write(tmp_path, {"IsEncrypted": False, "Values": {"ONE": "file", "TWO": "file"}})
    assert read_settings(tmp_path, {"TWO": "environment"}) == {"ONE": "file", "TWO": "environment"}


def test_without_a_file_the_environment_is_all(tmp_path: Path) -> None:
    assert read_settings(tmp_path, {"ONE": "1"}) == {"ONE": "1"}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ({"Values": {"ONE": 1}}, "values are all text"),
        ({"Values": ["ONE"]}, "values are all text"),
        (["Values"], "values are all text"),
        ({"IsEncrypted": True, "Values": {"ONE": "x"}}, "is encrypted"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(tmp_path: Path, content: object, complaint: str) -> None:
    write(tmp_path, content)
    with pytest.raises(HostError, match=complaint):
        read_settings(tmp_path, {})


def test_a_file_that_is_no_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "local.settings.json").write_text("{")
    with pytest.raises(HostError, match=r"local\.settings\.json is not JSON"):
        read_settings(tmp_path, {})


def test_references_are_replaced_wherever_they_stand() -> None:
    assert expand("a-%ONE%-%TWO%", {"ONE": "1", "TWO": "2"}, "here") == "a-1-2"
    assert expand("50%", {}, "here") == "50%"
    with pytest.raises(HostError, match="here: '%THREE%' does not resolve"):
        expand("%THREE%", {}, "here")


def test_a_connection_is_a_setting_with_or_without_prefix() -> None:
    settings = {"AzureWebJobsStorage": "default", "Own": "plain", "AzureWebJobsOwn": "prefixed", "Other": "other"}
    assert connection_string("", settings, "here") == "default"
    assert connection_string("AzureWebJobsStorage", settings, "here") == "default"
    assert connection_string("Own", settings, "here") == "prefixed"
    assert connection_string("Other", settings, "here") == "other"


def test_a_connection_that_is_missing_or_needs_azure_is_explained() -> None:
    with pytest.raises(HostError, match="there is no setting Own; for Azurite set Own=UseDevelopmentStorage=true"):
        connection_string("Own", {}, "here")
    with pytest.raises(HostError, match="uses an identity, which works in Azure only"):
        connection_string("Own", {"Own__queueServiceUri": "https://contoso.queue.example"}, "here")
