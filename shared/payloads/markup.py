"""HTML to readable plain text, for messages that sources send.

Those messages are fragments, often broken, sometimes escaped twice. A browser's parser is not needed and would have
to be imported by every cold start: known tags are replaced, everything else is text. Every pass runs in linear time,
whatever is broken: no tag of these messages holds "<" or ">" in an attribute, so each match ends at the next one.
"""

from __future__ import annotations

import re

from shared.payloads.values import clean

#: Longer messages are cut before they are read: what fits into a signal is far shorter.
_LONGEST = 30_000

# Patterns are compiled by re at first use: most alerts hold no HTML.
_SILENT = (
    r"</?(?:abbr|b|big|body|center|cite|code|em|font|footer|head|header|html|i|img|kbd|label|link|main|mark|meta|nav|s|"
    r"samp|small|span|strike|strong|sub|sup|title|u)\b[^<>]*>"
)
_PARAGRAPHS = r"</?(?:p|ul|ol|h[1-6]|blockquote|pre|hr|dl)\b[^<>]*>"
_BREAKS = r"</?(?:br|tr|div|section|article|table|tbody|thead|dt|dd)\b[^<>]*>"
_ITEMS = r"<li\b[^<>]*>"
_OTHERS = r"</li\b[^<>]*>|</?t[dh]\b[^<>]*>|</(?=[\s<]|$)"
_ANCHORS = r"<(/?)a\b([^<>]*)>"
_ANY = (
    r"<(?=/?[a-zA-Z])/?(?:a|b|big|br|div|em|font|h[1-6]|hr|i|img|li|ol|p|pre|section|small|span|strong|style|sub|sup|"
    r"table|tbody|t[dhr]|u|ul)\b[^<>]*>"
)
_HREF = r"""\bhref\s*=\s*["']?(https?://[^\s"'<>]{1,2000})"""
_ENTITY = r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});"

#: The entities that messages consist of, replaced without a look into the large table; the ampersand comes last.
_COMMON = (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&#39;", "'"), ("&nbsp;", " "), ("&amp;", "&"))


def plain(value: str) -> str:
    """Readable text of an HTML fragment; text that is no HTML comes back as it is, less its entities.

    Paragraphs are parted by an empty line, list items begin with a dash, a link's address follows its words in
    brackets. Placeholders such as ``<MESSAGE>`` are no tags and stay.
    """
    value = clean(value[:_LONGEST])
    if "<" not in value and "&" not in value:
        return value.strip()
    for _ in range(3):  # "&amp;lt;p&amp;gt;" is HTML that was escaped twice
        if "<" in value and re.search(_ANY, value, re.IGNORECASE):
            value = _without_tags(value)
            break
        value = _unescape(value)
    value = clean(_unescape(value)).replace("\xa0", " ")
    lines = [" ".join(part.split()) for part in value.split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _without_tags(value: str) -> str:
    for opening, closing in (("<!--", "-->"), ("<style", "</style>"), ("<script", "</script>")):
        value = _without_blocks(value, opening, closing)
    value = _with_addresses(value.replace("\n", " "))  # line breaks between tags are mere blanks
    for pattern, words in (
        (_SILENT, ""),
        (_ITEMS, "\n- "),
        (_PARAGRAPHS, "\n\n"),
        (_BREAKS, "\n"),
        (_OTHERS, " "),
    ):
        value = re.sub(pattern, words, value, flags=re.IGNORECASE)
    return value


def _without_blocks(value: str, opening: str, closing: str) -> str:
    low = value.lower()
    if opening not in low:
        return value
    parts = []
    start = 0
    while (opened := low.find(opening, start)) >= 0:
        parts.append(value[start:opened])
        closed = low.find(closing, opened)
        start = closed + len(closing) if closed >= 0 else len(value)
    parts.append(value[start:])
    return "".join(parts)


def _with_addresses(value: str) -> str:
    """Replace the tags of links: the address follows the words, unless the words are the address."""
    out: list[str] = []
    start = 0
    address = ""
    for match in re.finditer(_ANCHORS, value, re.IGNORECASE):
        words = value[start : match.start()]
        out.append(words)
        if address and address.rstrip("/") not in words:
            out.append(f" ({address})")
        found = None if match[1] else re.search(_HREF, match[2], re.IGNORECASE)
        address = found[1] if found else ""
        start = match.end()
    out.append(value[start:])
    return "".join(out)


def _unescape(value: str) -> str:
    """Undo one or two layers of escaping."""
    if "&" not in value:
        return value
    for entity, character in _COMMON:
        value = value.replace(entity, character)
    if not re.search(_ENTITY, value):
        return value
    from html import unescape  # the table of entities is large, and few messages need it

    return re.sub(_ENTITY, lambda match: unescape(match[0]), value)
