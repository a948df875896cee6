"""Addresses of databases: which database one means, and what of it may be shown.

::

    /var/lib/aaa.db                          SQLite, as is an empty one and sqlite:PATH
    postgresql://aaa@db1/aaa?sslmode=require PostgreSQL, as a URI
    host=/run/postgresql dbname=aaa          PostgreSQL, in words of libpq
"""

import re

_SCHEMES = ("postgresql://", "postgres://")
#: A word of libpq is followed by an equals sign, with or without blanks.
_WORDS = re.compile(r"\s*[a-z_]+\s*=", re.ASCII)
_USER = re.compile(r"(://[^:@/?]*):[^@/?]*@")
_PARAMETER = re.compile(r"([?&]\w*password=)[^&]*", re.IGNORECASE)
_WORD = re.compile(r"(\b\w*password\s*=\s*)(?:'(?:[^'\\]|\\.)*'?|\S*)", re.IGNORECASE)


def is_postgres(database: str) -> bool:
    """Whether a ``database`` setting means PostgreSQL."""
    return bool(database) and not database.startswith(("/", "sqlite:"))


def is_address(text: str) -> bool:
    """Whether a text has one of the two forms that PostgreSQL takes."""
    return text.startswith(_SCHEMES) or _WORDS.match(text) is not None


def without_password(address: str) -> str:
    """An address to be shown."""
    if "://" in address:
        return _PARAMETER.sub(r"\1***", _USER.sub(r"\1@", address))
    return _WORD.sub(r"\1***", address)
