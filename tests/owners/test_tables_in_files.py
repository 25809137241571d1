"""Tables of ``lookups`` in files beside bridge.yaml: what is read, and what is said of files with mistakes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from app.configuration import load_config
from shared.config.lookup_files import MOST_BYTES, MOST_ENTRIES, MOST_PATTERNS
from shared.core.errors import ConfigurationError
from tests.mapping.signals import HEAD

DEFAULT = (
    'default: {connection: desk, fields: {assignment_group: {lookup: owners, key: "{{ resource.resource_group }}"}}}\n'
)
OBJECT = "{file: owners.json}"
COLUMNS = "{file: owners.csv, key: Resource group, value: team}"
LIST = "{file: owners.json, key: group, value: team}"


def loaded(folder: Path, content: bytes | str, settings: str = COLUMNS) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """The table, and the warnings."""
    name = settings.partition("file: ")[2].partition(",")[0].rstrip("}")
    if content:
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    (folder / "bridge.yaml").write_text(f"{HEAD}lookups:\n  owners: {settings}\n{DEFAULT}")
    found = load_config(folder / "bridge.yaml", {})
    return found.config.tables["owners"], found.warnings


def mistakes(folder: Path, content: bytes | str, settings: str = COLUMNS) -> list[str]:
    with pytest.raises(ConfigurationError) as refused:
        loaded(folder, content, settings)
    problems = refused.value.problems
    assert all(one.startswith("bridge.yaml:5: lookups.owners") for one in problems), problems
    return [one.split(": ", 2)[2] for one in problems]


@pytest.mark.parametrize(
    "content",
    [
        "resource group,team,since\nrg-shop-*,Shop,2020\nrg-data,Data,2021\n",
        "\ufeffTEAM;note;RESOURCE GROUP\r\nShop;;rg-shop-*\r\nData;;rg-data\r\n\r\n",
        'Resource group\tteam\n"rg-shop-*"\t"Shop"\n rg-data \t Data \n',
        'note,"Resource group","team"\n"two\nlines",rg-shop-*,Shop\n,rg-data,Data',
    ],
)
def test_a_csv_file_of_any_office_suite_is_read(tmp_path: Path, content: str) -> None:
    assert loaded(tmp_path, content) == ({"rg-shop-*": "Shop", "rg-data": "Data"}, ())


@pytest.mark.parametrize(
    ("content", "settings"),
    [
        ('{"rg-shop-*": "Shop", "rg-data": 7}', OBJECT),
        ('[{"group": "rg-shop-*", "team": "Shop", "since": null}, {"group": "rg-data", "team": 7}]', LIST),
    ],
)
def test_json_is_an_object_of_values_or_a_list_of_objects(tmp_path: Path, content: str, settings: str) -> None:
    assert loaded(tmp_path, content, settings)[0] == {"rg-shop-*": "Shop", "rg-data": "7"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "owners.csv: cannot be read: No such file or directory. Fix: put it into the folder of bridge.yaml"),
        ("\n", "owners.csv:1: there is no column 'Resource group'"),
        (b"\xef\xbb\xbf", "owners.csv: it is empty. Fix: a first line with the names of the columns"),
        ("Resource group,team\n", "owners.csv: it has no entry. Fix: add one"),
        ("Resource grup,team\nrg,Shop\n", "owners.csv:1: there is no column 'Resource group'. Fix: did you mean"),
        ("team,Resource group,TEAM\nA,rg,B\n", "owners.csv:1: column 'team' is there twice. Fix: rename one"),
        ("Resource group,team\nrg\n", "owners.csv:2: it has 1 cells, and the first line 2. Fix: add what is missing"),
        ("Resource group,team\nrg,A\nx,B\nRG,C\n", "owners.csv:4: the key 'RG' is given twice (first in line 2)"),
        ("Resource group,team\n\n ,Shop\n", "owners.csv:3: the key is empty. Fix: write one, or remove the line"),
        ('Resource group,team\n"rg"x,Shop\n', "owners.csv:2: it is not valid CSV: "),
        ('Resource group,team\n"rg,Shop\n', "owners.csv:2: it is not valid CSV: unexpected end of data. Fix: check"),
        ("Resource group,team\nrg,Büro\n".encode("cp1252"), "owners.csv:2: a character is not UTF-8. Fix: save it as"),
        ("Resource group,team\nrg,Shop\n".encode("utf-16"), "owners.csv:1: it is UTF-16. Fix: save it as UTF-8"),
        (b"Resource group,team\nrg,Sh\0op\n", "owners.csv:2: there is a NUL character"),
        (f"Resource group,team\nrg,{'x' * 1_001}\n", "owners.csv:2: 'rg' or its value has more than 1,000 characters"),
        (f"Resource group,team\nrg,{'x' * 200_000}\n", "owners.csv:2: it is not valid CSV: field larger than"),
    ],
)
def test_what_is_wrong_with_a_csv_file_is_named_with_line_and_fix(
    tmp_path: Path, content: bytes | str, said: str
) -> None:
    assert any(one.startswith(said) for one in mistakes(tmp_path, content))


@pytest.mark.parametrize(
    ("content", "settings", "said"),
    [
        ("{\n", OBJECT, "owners.json:2: it is not valid JSON"),
        ('{"a": "x",\n "b": "y",\n "A": "z"}', OBJECT, "owners.json:3: the key 'A' is given twice (first in line 1)"),
        ('{\n"a": ["x"]}', OBJECT, "owners.json:2: the value of 'a' is no text. Fix: put it in quotes"),
        ('{\n"a": {"b": "c"}}', OBJECT, "owners.json:2: the value of 'a' is no text"),
        ('{"a": true}', OBJECT, "owners.json:1: the value of 'a' is no text"),
        ('{"a": NaN}', OBJECT, "owners.json"),
        ("[]", OBJECT, "owners.json: it is no object of keys and values. Fix: write one, or name 'key' and 'value'"),
        ("{}", OBJECT, "owners.json: it has no entry"),
        ("{}", LIST, "owners.json: it is no list of objects. Fix: write one, or take 'key' and 'value' out"),
        ('[{"group": "rg"}]', LIST, "owners.json: item 1 of the list has no 'team'. Fix: add it"),
        ('[{"group": "a", "team": "b"}, 7]', LIST, "owners.json: item 2 of the list is no object"),
        ('[{"group": "a", "team": "b", "team": "c"}]', LIST, "owners.json: item 1 of the list has 'team' twice"),
        ('[{"group": "a", "team": "b"}, {"group": "A", "team": "c"}]', LIST, "owners.json: the key 'A' is given twice"),
        ("[" * 100_000, LIST, "owners.json: it is nested too deeply"),
        ("7" * 5_000, OBJECT, "owners.json: it is not valid JSON"),
    ],
)
def test_what_is_wrong_with_a_json_file_is_named_with_line_and_fix(
    tmp_path: Path, content: str, settings: str, said: str
) -> None:
    if "NaN" in content:
        assert loaded(tmp_path, content, settings)[0] == {"a": "NaN"}
        return
    assert any(said in one for one in mistakes(tmp_path, content, settings)), mistakes(tmp_path, content, settings)


def test_every_line_with_a_mistake_is_named_up_to_twenty(tmp_path: Path) -> None:
    found = mistakes(tmp_path, "Resource group,team\n" + "rg,Shop\n" * 40)
    assert len(found) == 21
    assert any("and 19 more like these" in one for one in found)


def test_a_file_is_as_large_as_the_app_can_hold_and_no_larger(tmp_path: Path) -> None:
    head = "Resource group,team\n"
    most = head + "".join(f"rg-{number},Shop\n" for number in range(MOST_ENTRIES))
    assert len(loaded(tmp_path, most)[0]) == MOST_ENTRIES
    assert "20,001 entries, more than 20,000" in mistakes(tmp_path, most + "one,More\n")[0]
    patterns = head + "".join(f"rg-{number}-*,Shop\n" for number in range(MOST_PATTERNS + 1))
    assert "1,001 keys are patterns (* or ?), more than 1,000" in mistakes(tmp_path, patterns)[0]
    with (tmp_path / "owners.csv").open("wb") as file:
        file.truncate(50_000_000)
    assert f"50,000,000 bytes, more than {MOST_BYTES:,}" in mistakes(tmp_path, "")[0]


@pytest.mark.parametrize("place", ["../owners.csv", "{outside}/owners.csv", "link.csv", "sub/../../owners.csv"])
def test_a_file_outside_of_the_folder_is_never_read(tmp_path: Path, place: str) -> None:
    folder = tmp_path / "app"
    folder.mkdir()
    (tmp_path / "owners.csv").write_text("Resource group,team\nrg,Shop\n")
    (folder / "link.csv").symlink_to(tmp_path / "owners.csv")
    settings = COLUMNS.replace("owners.csv", place.format(outside=tmp_path))
    assert "outside of the folder of bridge.yaml" in mistakes(folder, "", settings)[0]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("{file: owners.csv}", "a CSV file needs 'key' and 'value', the names of its columns. Fix: add them"),
        ("{file: owners.json, key: a}", "'key' and 'value' belong together. Fix: name both columns"),
        ("{file: owners.xlsx, key: a, value: b}", "neither .csv nor .json. Fix: save it as one of these"),
        ("{file: owners.csv, key: a, value: b, sheet: 1}", "unknown name 'sheet'"),
        ("{file: 7, key: a, value: b}", "must be text"),
    ],
)
def test_settings_of_a_file_that_make_no_sense_are_mistakes(tmp_path: Path, settings: str, said: str) -> None:
    found = mistakes(tmp_path, "", settings)
    assert any(said in one for one in found), found


def test_rows_without_a_value_and_files_that_are_not_deployed_are_warnings(tmp_path: Path) -> None:
    (tmp_path / ".funcignore").write_text("# not these\ndocs/\n*.csv\n")
    table, warnings = loaded(tmp_path, "Resource group,team\nrg,Shop\nrg-new,\n")
    assert table == {"rg": "Shop"}
    assert "owners.csv:3: 'rg-new' has no value, so it is no entry" in warnings[0] + warnings[1]
    assert "owners.csv is not deployed: .funcignore leaves out '*.csv'. Fix: move the file" in warnings[0] + warnings[1]


def test_the_shipped_funcignore_deploys_a_file_beside_the_configuration(tmp_path: Path) -> None:
    shipped = Path(__file__).parents[2] / ".funcignore"
    (tmp_path / ".funcignore").write_text(shipped.read_text())
    assert loaded(tmp_path, "Resource group,team\nrg,Shop\n")[1] == ()


def test_a_value_of_a_file_is_never_read_as_a_template_or_setting(tmp_path: Path) -> None:
    content = json.dumps({"rg": "{{ signal.title }} ${HOME}"})
    assert loaded(tmp_path, content, OBJECT)[0] == {"rg": "{{ signal.title }} ${HOME}"}
