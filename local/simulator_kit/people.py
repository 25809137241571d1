"""The people of the demo: whoever owns a resource in Azure is a user of ServiceNow, under one name and one address."""

from __future__ import annotations

#: Domain of all mail addresses and user principal names (RFC 2606 keeps ``.example`` for documentation).
DOMAIN = "contoso.example"

#: user_name -> full name. All of them can be given a ticket; some are names of ServiceNow's own demo data.
PEOPLE: dict[str, str] = {
    "abel.tuter": "Abel Tuter",
    "beth.anglin": "Beth Anglin",
    "david.loo": "David Loo",
    "natasha.ingram": "Natasha Ingram",
    "kim.akers": "Kim Akers",
    "lee.gu": "Lee Gu",
    "ada.winterfeld": "Ada Winterfeld",
    "bruno.hallberg": "Bruno Hallberg",
    "celia.okonjo": "Celia Okonjo",
    "dmitri.aalto": "Dmitri Aalto",
    "elif.sandoval": "Elif Sandoval",
    "farid.lindqvist": "Farid Lindqvist",
    "greta.moreau": "Greta Moreau",
    "hugo.tanaka": "Hugo Tanaka",
    "ingrid.castell": "Ingrid Castell",
    "jonas.mbeki": "Jonas Mbeki",
    "kaya.novak": "Kaya Novak",
}


def address(local_part: str) -> str:
    """The mail address of an account or a group."""
    return f"{local_part}@{DOMAIN}"


def mail_of(user_name: str) -> str:
    """The mail address of one of the people.

    Raises:
        ValueError: nobody has that user name; without this check an owner could be somebody whom ServiceNow lacks.
    """
    if user_name not in PEOPLE:
        raise ValueError(f"{user_name!r} is none of the demo's people; add them to {__name__}")
    return address(user_name)
