"""What an operator sees of a parked message: no planted secret, and as much of the rest as can be shown."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest

from shared.core.signal import Row, Rows, to_dict
from shared.operations.redact import HIDDEN, redacted
from tests.mapping.signals import signal

#: Made up, and without a form of its own: only its place tells.
S = "swordfish4242"
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzd29yZGZpc2gifQ.c3dvcmRmaXNoLXNpZ25hdHVyZQ"
PEM = f"-----BEGIN RSA PRIVATE KEY-----\nMIIB{S}\n{S}\n-----END RSA PRIVATE KEY-----"


def b64(value: Any) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


PLANTED: dict[str, Any] = {
    # names
    "pwd": {"pwd": S},
    "pass": {"pass": S},
    "PASS in capitals": {"DB_PASS": S},
    "camel case": {"dbPass": S},
    "private_key": {"private_key": S},
    "privateKey": {"auth": {"privateKey": S}},
    "client secret": {"clientSecret": S},
    "a number": {"pin": 42424242},
    "an object": {"credentials": {"user": "u", "what": S}},
    "an array": {"tokens": [S, S]},
    "deep": {"a": [{"b": {"Proxy-Authorization": S}}]},
    "a function key": {"x-functions-key": S},
    "a subscription key": {"Ocp-Apim-Subscription-Key": S},
    "a primary key": {"primaryKey": S},
    "a master key": {"_master_key": S},
    "a SAS": {"sasUri": S},
    "a set cookie": {"Set-Cookie": f"sid={S}"},
    "a session": {"JSESSIONID": S},
    "a one-time password": {"otp": S},
    "a shared key": {"psk": S},
    "a DSN": {"SENTRY_DSN": f"https://{S}@sentry.example/1"},
    "a principal": {"x-ms-client-principal": S},
    # name/value pairs and tables
    "a pair": {"headers": [{"name": "Authorization", "value": S}]},
    "a pair in capitals": {"Headers": [{"Name": "X-Api-Key", "Value": S}]},
    "a key/value pair": {"tags": [{"key": "db_password", "value": S}]},
    "a pair of another name": {"field": "password", "content": S, "more": 1, "id": "x"},
    "a pair with a strange member": {"name": "secret", "is": S},
    "a dimension": {"dimensions": [{"name": "ConnectionString", "value": S, "operator": "Include"}]},
    "a list of two": ["x-api-key", S],
    "raw headers": {"rawHeaders": ["Host", "x", "Authorization", S, "Accept", "y"]},
    "a column": {"columns": [{"name": "Computer"}, {"name": "AdminPassword"}], "rows": [["vm", S], ["vm2", S]]},
    "a column without an object": {"Columns": ["user", "pwd"], "Rows": [["u", S]]},
    # JSON in texts
    "JSON in a text": {"body": json.dumps({"password": S, "a": 1})},
    "JSON in JSON in a text": {"body": json.dumps({"inner": json.dumps({"token": S})})},
    "JSON twice encoded": {"body": json.dumps(json.dumps({"password": S}))},
    "an array in a text": json.dumps([{"name": "pwd", "value": S}]),
    "JSON after words": {"m": f'request was {{"user": "u", "password": "{S}"}} and failed'},
    "escaped JSON after words": {"m": f'request was {{\\"password\\": \\"{S}\\"}} and failed'},
    "base64 of JSON": {"$content": b64({"password": S})},
    "base64 of a list": b64([{"name": "secret", "value": S}]),
    # texts
    "name=value": f"Server=x;Uid=u;Pwd={S};",
    "name: value": f"user: u\npassword: {S}\nhost: h",
    "name is value": f"the password is {S}, keep it",
    "quoted": f"DB_PASSWORD='{S} {S}'",
    "YAML": f"api_key: {S}",
    "an environment": f"export AWS_SECRET_ACCESS_KEY={S}",
    "a header": f"> Authorization: Custom {S}",
    "a cookie": f"Cookie: a=b; sid={S}; c={S}",
    "bearer": f"sent with bearer {S}",
    "a flag": f"az login --password {S} --tenant t",
    "a flag with =": f"tool --client-secret={S}",
    "curl": f"curl -u admin:{S} https://x.example",
    "XML": f"<add><Password>{S}</Password></add>",
    "XML attributes": f'<add key="DbPassword" value="{S}" />',
    "a form": f"grant_type=client_credentials&client_secret={S}&scope=x",
    # URLs
    "user information": f"https://user:{S}@contoso.example/path",
    "a token as user": f"git clone https://{S}@github.com/contoso/x.git",
    "a database": f"postgres://app:{S}@db.contoso.example:5432/app",
    "a code": f"https://fn.contoso.example/api/x?code={S}&b=1",
    "a signature": f"https://st.contoso.example/c?sv=1&sig={S}",
    "a fragment": f"https://contoso.example/cb#access_token={S}&type=x",
    "a nested URL": f"https://contoso.example/r?u=https%3A%2F%2Fx.example%3Fcode%3D{S}%26b%3D1",
    "an escaped ampersand": f"https://contoso.example/?a=1&amp;token={S}",
    "a URL as a name": {f"https://contoso.example/?code={S}": 1},
    # webhooks
    "Slack": f"https://hooks.slack.com/services/T000/B000/{S}",
    "Teams": f"https://contoso.webhook.office.com/webhookb2/{S}@x/IncomingWebhook/{S}/y",
    "Discord": f"https://discord.com/api/webhooks/123/{S}",
    "PagerDuty": f"https://events.pagerduty.com/integration/{S}/enqueue",
    "Telegram": f"https://api.telegram.org/bot123456789:{S}/sendMessage",
    "Zapier": f"https://hooks.zapier.com/hooks/catch/1/{S}/",
    # forms of their own
    "a JWT": f"got {JWT} back",
    "a JWT without a name": {"x": JWT},
    "a private key": {"file": PEM},
    "a private key without an end": {"file": PEM[:60]},
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_secret_is_hidden(name: str) -> None:
    shown = json.dumps(redacted({"signal": {"items": [PLANTED[name]]}}), ensure_ascii=False)
    assert S not in shown, shown
    assert "42424242" not in shown
    assert JWT.split(".")[1] not in shown
    assert HIDDEN in shown


@pytest.mark.parametrize(
    "key",
    [
        "AKIA" + "Q" * 16,
        "ghp_" + "a1B2" * 9,
        "github_pat_" + "a1B2" * 9,
        "glpat-" + "a1B2" * 5,
        "xoxb-1234567890-" + "a1B2" * 5,
        "sk_live_" + "a1B2" * 5,
        "AIza" + "a1B2" * 9,
        "SG." + "a1B2" * 5 + "." + "a1B2" * 9,
        "abc8Q~" + "a1B2" * 8 + "xy",
        "a1B/" * 21 + "a1==",
        "a1B/" * 10 + "a1B=",
        "npm_" + "a1B2" * 9,
    ],
)
def test_keys_of_well_known_services_are_known_by_their_form(key: str) -> None:
    assert key not in json.dumps(redacted({"m": f"used {key} today", "x": key}))


SHOWN: dict[str, Any] = {
    "an alert": {
        "title": "Token service is down on vm-1", "key": "alert:1:abc", "description": "passwords expired: none",
        "status": {"code": "Unhealthy"}, "resources": [{"id": "/subscriptions/x/vm", "name": "vm"}],
    },
    "a link": "https://portal.azure.com/#@contoso.example/resource/subscriptions/x?b=1",
    "a time": "2026-03-01T12:00:00Z",
    "flags": {"password": True, "token": None, "secret": ""},
    "a pair": {"name": "team", "value": "payments"},
    "an id": "3f6c1a52-7d0e-4b8c-9a41-5e2d7c9b0f13",
    "a digest": "sha256:" + "9f1c7d20" * 8,
    "prose": "The key figure is 42. Basic authentication failed for the passenger list.",
    "JSON": '{"a": [1, 2], "b": "c"}',
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in SHOWN if name != "an alert"])
def test_what_is_no_secret_is_shown(name: str) -> None:
    assert redacted(SHOWN[name]) == SHOWN[name]


def test_an_alert_that_speaks_of_tokens_is_shown() -> None:
    shown = redacted(SHOWN["an alert"])
    for part in ("title", "key", "status", "resources"):
        assert shown[part] == SHOWN["an alert"][part]


@pytest.mark.parametrize(
    "text",
    [
        "a" * 1_000_000, "password" * 120_000, "password " * 100_000, "https://" * 120_000, "-" * 1_000_000,
        "x_" * 500_000, "a.b-" * 250_000, "<a" * 400_000, "eyJ" * 300_000, "=" * 1_000_000, "name='" * 160_000,
        "?key" * 250_000, "https://a/" + "b/" * 400_000, "-----BEGIN PRIVATE KEY-----" * 30_000,
        '"' * 900_000, "[" * 900_000,
        "w" * 500_000 + "@", "cookie:" * 140_000, "\\" * 900_000, "password\"" * 100_000, "A" * 500_000 + "Pwd",
    ],
    ids=lambda text: text[:12],
)  # fmt: skip
def test_the_largest_texts_are_read_in_time(text: str) -> None:
    started = time.thread_time()
    redacted([text[start : start + 99_000] for start in range(0, len(text), 99_000)])
    redacted({"m": text})
    assert time.thread_time() - started < 10


def test_of_a_very_long_text_the_beginning_is_shown() -> None:
    shown = redacted({"m": "x" * 99_985 + f" password={S} " + "y" * 100_000})["m"]
    assert "fish" not in shown
    assert shown.endswith("more characters are not shown)")
    assert len(shown) < 100_100


def test_the_rows_of_a_stored_signal_are_hidden_below_headings_that_tell_of_a_secret() -> None:
    rows = Rows(("Computer", "ApiKey"), (Row(("web-01", "t0p")), Row(("web-02", "t0p"))), 2, ("Computer",))
    shown = redacted(to_dict(signal(rows=rows)))["rows"]
    assert shown["rows"] == [["web-01", "(hidden)"], ["web-02", "(hidden)"]]
