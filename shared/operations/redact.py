"""Hides what may be a secret in a message before a person sees it. What is stored stays whole, for replay. Pure.

Runbook wrappers carry the request's headers, relays put URLs with their keys into what they post, and scripts write
their whole environment into a description. A secret is known by one of these:

* the name it stands under: a member of an object, the name of a name/value pair, the heading of a column, the item
  before it in a list of headers, a parameter of a URL, ``name=value``, ``name: value``, ``--name value``, an element;
* its own form: tokens, private keys, keys of well-known services, user information and webhooks in URLs.

JSON and base64 of JSON inside a text are read and hidden in like the rest. Too much is hidden rather than too little.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "(hidden)"

#: Parts of names that tell of a secret, wherever they stand in the name without its punctuation.
_PARTS = (
    r"authori[sz]ation|cookie|passw(?:or)?d|passwrd|passphrase|passcode|secret|token|credential|connectionstring|connstr"
    r"|apikey|privatekey|(?:account|access|shared|functions?|subscription|instrumentation|primary|secondary|master|host"
    r"|system|storage|signing|encryption|service|admin|client|server|license|integration|routing|ssh|ssl|tls|gpg|pgp|rsa"
    r"|hmac|aes|webhook|event|deploy|publish|publishing|read|write|query)key|sessionid|sessid|clientprincipal|sastoken"
    r"|sasur[il]|signature|assertion|kennwort|motdepasse"
)
_CONTAINED = re.compile(_PARTS)

#: Words that tell of one when they are a word of the name or the name itself.
_WORDS = frozenset(
    {"pass", "pwd", "pw", "psw", "psk", "sig", "jwt", "sas", "otp", "totp", "bearer", "creds", "cred", "dsn", "pfx"}
)
_WHOLE = frozenset({"auth", "pin", "xauth", "basicauth"})
_CAMEL = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_]+")

#: The same as a pattern for texts, from where the telling part begins. Between the words of a name stand ``-``, ``_``,
#: ``.``, a blank or nothing. What comes before is not matched: texts may be long, and nothing is looked at twice.
_IN_TEXT = (
    r"(?:(?:authori[sz]ation|cookie|passw(?:or)?d|passphrase|passcode|secret|token|credentials?"
    r"|connection[-_. ]?string|api[-_. ]?key|private[-_. ]?key|sas[-_]?token|session[-_]?id|signature"
    r"|(?:account|access|shared|functions?|subscription|instrumentation|primary|secondary|master|host|storage|signing"
    r"|encryption|client|server|license|integration|routing|ssh|webhook|service|admin)[-_. ]?key)[\w.$-]{0,20}"
    r"|(?:(?<![^\W_])(?:pass|pwd|passwd|pw|psk|jwt|otp|dsn|sig|sas|creds?)|(?<=[a-z])(?-i:Pwd|Pass))"
    r"(?:[-_][\w.-]{0,20})?)"
)

_LABELS = frozenset(
    {
        "name", "key", "id", "field", "fieldname", "header", "parameter", "param", "property", "propertyname", "label",
        "variable", "option", "attribute", "title", "k", "n", "displayname", "columnname", "type", "setting", "entry",
    }
)  # fmt: skip
#: Members of a name/value pair that hold its value.
_VALUES = frozenset(
    {
        "value", "values", "val", "v", "content", "text", "data", "default", "defaultvalue", "string", "stringvalue",
        "newvalue", "oldvalue", "currentvalue", "displayvalue", "valuestring", "raw", "body", "secret",
    }
)  # fmt: skip
_NO_SECRET = (None, "", True, False)

_JWT = r"(?<![\w-])eyJ[\w-]{5,}(?:\.[\w-]*){2,4}"
_KNOWN = "|".join(
    (
        _JWT,
        r"(?<![\w-])(?:AKIA|ASIA|AROA|AIDA)[0-9A-Z]{16}\b",
        r"(?<![\w-])gh[oprsu]_\w{20,}",
        r"(?<![\w-])github_pat_\w{20,}",
        r"(?<![\w-])gl(?:pat|ptt|dt|rt|soat)-[\w-]{16,}",
        r"(?<![\w-])xox[a-z]-[\w-]{10,}",
        r"(?<![\w-])xapp-[\w-]{10,}",
        r"(?<![\w-])[rsp]k_(?:live|test)_\w{10,}",
        r"(?<![\w-])sk-[\w-]{20,}",
        r"(?<![\w-])whsec_[\w+/=]{10,}",
        r"(?<![\w-])AIza[\w-]{30,}",
        r"(?<![\w-])ya29\.[\w.-]{10,}",
        r"(?<![\w-])SG\.[\w-]{10,}\.[\w-]{10,}",
        r"(?<![\w-])(?:npm|hf|dop_v1|doo_v1|pypi|shpat|lin_api|figd|ntn|sqp|dckr_pat)[_-][\w-]{16,}",
        r"(?<![\w-])hv[sbr]\.[\w-]{16,}",
        r"(?<![\w-])key-[0-9a-f]{32}\b",
        r"[\w~.-]{3}\dQ~[\w~.-]{30,40}",  # client secrets of Entra ID
        r"[A-Za-z0-9+/]{86}==",  # keys of Azure storage, Cosmos DB, Batch
        r"(?<![A-Za-z0-9+/=])[A-Za-z0-9+/]{43}=(?![A-Za-z0-9+/=])",  # keys of Service Bus, Event Hubs, IoT Hub
        r"(?<![\w-])[\w-]{30,60}AzFu[\w-]{4,}={0,2}",  # keys of Azure Functions
        r"(?<![\w-])\d{8,12}:AA[\w-]{30,}",  # bots of Telegram
        r"\$(?:2[abxy]|5|6|argon2\w*)\$[\w./$=,+-]{20,}",  # hashes of passwords
    )
)
_TOKENS = re.compile(_KNOWN)
_PRIVATE = re.compile(r"-----BEGIN[A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----.*?(?:-----END[A-Z0-9 ]*-----|\Z)", re.DOTALL)
_PUTTY = re.compile(r"Private-Lines:.*", re.DOTALL)

_USERINFO = re.compile(r"(://)[^/\s?#\"'<>@\\]{1,500}@")
_PARAMETER = re.compile(
    r"(?i)((?:[?&;#]|%3f|%26|%3b|%23)(?:amp;)?(?:[\w.-]{0,40}?(?:token|secret|passw|pwd|signature|credential|assertion|jwt"
    r"|session|auth|key)[\w.-]{0,40}|code|sig|pass|pw|sas|otp|pin|hmac|samlresponse|samlrequest)(?:=|%3d))[^&#\s\"'<>;\\%]"
    r"(?:(?!%26|%23)[^&#\s\"'<>;\\])*"
)
_SCHEME = re.compile(
    r"(?i)\b(bearer|basic|negotiate|ntlm|sharedkey|sharedkeylite|sharedaccesssignature|apikey|digest|splunk|genie-?key"
    r"|aws4-hmac-sha256|token(?=\s+(?:token=)?[\w-]*\d))\s+(?!authenti|authori)[A-Za-z0-9._~+/=:%&-]{6,}"
)
_HOOKS = re.compile(
    r"(?i)(https?://(?:[\w.-]{0,99}hooks?\.[\w.-]{1,99}|[\w.-]{0,99}webhook[\w.-]{0,99})(?::\d+)?/)[^\s\"'<>\\]+"
    r"|(https?://[^\s\"'<>/\\]{1,99}(?:/[\w.-]{1,99}){0,6}?/(?:web-?hooks?(?:b2)?|incoming-?web-?hook|integrations?|hooks|bot(?=\d))"
    r"/?)(?!$)[^\s\"'<>?/\\][^\s\"'<>?\\]*"
)
_COOKIES = re.compile(r"(?i)\b((?:set-)?cookie\s*:\s*)[^\r\n\"]+")
_AUTHORIZATION = re.compile(
    r"(?i)\b((?:proxy-)?authori[sz]ation[\\\"']{0,4}\s*[:=]\s*[\\\"']{0,4})(?!\(hidden)[^\r\n\"'\\]+"
)
_VALUE = (
    r"(?:\"[^\"\r\n]{1,4000}\"|'[^'\r\n]{1,4000}'|(?!\(hidden|//|\{|\[|null\b|true\b|false\b)[^\s\"'&;,<>{}\[\]\\]+)"
)
_ASSIGNED = re.compile(
    rf"(?i)({_IN_TEXT}[\\\"'\])]{{0,4}}\s{{0,4}}(?:=>|:=|[:=]|\bis\b|\bwas\b|\blautet\b)\s{{0,4}}\\*)({_VALUE}"
    rf"|\\?\"[^\"\r\n]{{1,4000}}\\?\")"
)
_FLAG = re.compile(rf"(?i)(?<!\S)(--?[\w-]{{0,40}}?{_IN_TEXT}\s+)(?!-)({_VALUE})")
_USER_FLAG = re.compile(r"(?<!\S)((?:-u|--user|--proxy-user)[ =]+[\"']?[^\s:\"']+:)[^\s\"']+")
_ELEMENT = re.compile(rf"(?i)(<[\w:.-]{{0,40}}?{_IN_TEXT}(?:\s[^<>]{{0,200}})?>)[^<]+(?=</)")
_ATTRIBUTE = re.compile(
    rf"(?i)((?:name|key|header|id)\s*=\s*[\"'][\w.:$ -]{{0,40}}?{_IN_TEXT}[\"']"
    r"[^<>]{0,80}?(?:value|content|data)\s*=\s*[\"'])[^\"']+"
)

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}")

#: JSON in texts in JSON: how often that is followed.
_NESTED = 6
_LONGEST_NAME = 80
_MOST_WORDS = 3

#: Characters of one text that are shown, and how many more are looked at, so that no secret is shown in part.
_LONGEST_TEXT = 100_000
_MARGIN = 5_000


def redacted(value: Any, name: str = "", _left: int = _NESTED) -> Any:
    """A JSON value with whatever may be a secret hidden.

    Args:
        value: any decoded JSON value; at most as deep as the webhook takes in.
        name: under which it stands, empty at the top and in arrays. Names are matched in any case.
    """
    if _tells(name) and value not in _NO_SECRET:
        return HIDDEN
    if isinstance(value, dict):
        return _object(value, _left)
    if isinstance(value, list):
        return _array(value, _left)
    if isinstance(value, str):
        return _text(value, _left)
    return value


def _tells(name: str) -> bool:
    """Whether a name says that a secret stands under it."""
    if not name or len(name) > _LONGEST_NAME:
        return False
    words = [word.lower() for word in _CAMEL.findall(name)]
    plain = "".join(words)
    return bool(_CONTAINED.search(plain)) or plain in _WHOLE or not _WORDS.isdisjoint((plain, *words))


def _object(value: Mapping[str, Any], left: int) -> dict[str, Any]:
    labels = {key for key, one in value.items() if str(key).lower() in _LABELS and isinstance(one, str)}
    pair = any(_is_name(value[key]) for key in labels)
    found: dict[str, Any] = {}
    for key, one in value.items():
        # of a pair with more members than two, only those are hidden that are called like a value
        is_value = str(key).lower() in _VALUES or (len(value) == 2 and key not in labels)
        hide = pair and is_value and one not in _NO_SECRET
        found[_text(str(key), 0)] = HIDDEN if hide else redacted(one, str(key), left)
    return _columns(value, found)


def _is_name(text: str) -> bool:
    """Whether a text is a name, and not a sentence, that tells of a secret."""
    return len(text.split()) <= _MOST_WORDS and _tells(text.strip(" :=-"))


def _columns(value: Mapping[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """Hide the cells of a table below headings that tell of a secret."""
    by_name = {str(key).lower(): key for key in value}
    columns = value.get(by_name.get("columns", ""))
    rows = found.get(by_name.get("rows", ""))
    if not isinstance(columns, list) or not isinstance(rows, list):
        return found
    headings = [one if isinstance(one, str) else _heading(one) for one in columns]
    secret = {position for position, heading in enumerate(headings) if _tells(heading)}
    found[by_name["rows"]] = [
        [HIDDEN if position in secret else cell for position, cell in enumerate(row)] if isinstance(row, list) else row
        for row in rows
    ]
    found[by_name["columns"]] = [_text(one, 0) if isinstance(one, str) else one for one in columns]
    return found


def _heading(column: object) -> str:
    if not isinstance(column, dict):
        return ""
    return next((str(one) for key, one in column.items() if str(key).lower() in ("name", "columnname")), "")


def _array(value: list[Any], left: int) -> list[Any]:
    """Items; one that follows a name (headers as HTTP libraries list them) is hidden under that name."""
    found: list[Any] = []
    for position, one in enumerate(value):
        before = value[position - 1] if position else ""
        follows = isinstance(before, str) and not isinstance(one, dict | list) and _is_name(before)
        found.append(HIDDEN if follows and one not in _NO_SECRET else redacted(one, "", left))
    return found


def _text(value: str, left: int) -> str:
    inner = _inner(value) if left > 0 else None
    if inner is not None:
        return json.dumps(redacted(inner, "", left - 1), ensure_ascii=False)
    if len(value) > _LONGEST_TEXT + _MARGIN:
        shown = _text(value[: _LONGEST_TEXT + _MARGIN], 0)[:_LONGEST_TEXT]
        return f"{shown}… ({len(value) - _LONGEST_TEXT:,} more characters are not shown)"
    value = _PUTTY.sub(f"Private-Lines: {HIDDEN}", _PRIVATE.sub(HIDDEN, value))
    value = _USERINFO.sub(rf"\1{HIDDEN}@", value)
    value = _HOOKS.sub(lambda match: f"{match[1] or match[2]}{HIDDEN}", value)
    value = _PARAMETER.sub(rf"\1{HIDDEN}", value)
    value = _COOKIES.sub(rf"\1{HIDDEN}", value)
    value = _AUTHORIZATION.sub(rf"\1{HIDDEN}", value)
    value = _SCHEME.sub(rf"\1 {HIDDEN}", value)
    value = _ELEMENT.sub(rf"\1{HIDDEN}", value)
    value = _ATTRIBUTE.sub(rf"\1{HIDDEN}", value)
    value = _FLAG.sub(rf"\1{HIDDEN}", value)
    value = _USER_FLAG.sub(rf"\1{HIDDEN}", value)
    value = _ASSIGNED.sub(rf"\1{HIDDEN}", value)
    return _TOKENS.sub(HIDDEN, value)


def _inner(value: str) -> Any:
    """The object or array that a text holds as JSON, or as base64 of JSON; None for any other text."""
    text = value.strip()
    if _BASE64.fullmatch(text):
        try:
            padded = text.replace("-", "+").replace("_", "/")
            text = base64.b64decode(padded + "=" * (-len(padded) % 4), validate=True).decode().strip()
        except (binascii.Error, ValueError):
            return None
    if text[:1] not in ("{", "[", '"'):
        return None
    try:
        found = json.loads(text)
        if isinstance(found, str) and found.strip()[:1] in ("{", "["):
            found = json.loads(found)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict | list) else None
