"""Tells from the name of a column what personal data it may hold. Pure: no I/O."""

import re
import unicodedata

from airflow_provider_pgclone.core.catalog import Kind
from airflow_provider_pgclone.core.masking.discovery.vocabulary import (
    ABOUT_SOMETHING,
    PEOPLE,
    SIGNATURES,
    Signature,
)

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+")
# The ASCII spelling of these letters.
_GERMAN_LETTERS = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ß": "ss"}
)
_PERSON_TABLE = re.compile(f"_(?:{PEOPLE.replace(' ', '|')})(?:s|es|n|en)?_")
_BARE_NAME = re.compile("_names?_")
_BARE = next(one for one in SIGNATURES if one.what == "names of persons")


def words(name: str) -> list[str]:
    """Return the words of a name in snake_case, camelCase or with spaces, without accents."""
    written = unicodedata.normalize("NFC", name).translate(_GERMAN_LETTERS)
    plain = unicodedata.normalize("NFKD", written)
    letters = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return [word.casefold() for word in _WORD.findall(letters)]


def signature_of(table: str, column: str, kind: Kind) -> Signature | None:
    """Return what a column seems to hold, judged by its name; ``None`` if that is unclear.

    :param table: the name of its table; ``name`` is the name of a person in a table of persons.
    """
    joined = _joined(column)
    for signature in SIGNATURES:
        found = signature.pattern.search(joined)
        if kind in signature.kinds and found is not None and _tells(found, joined, kind):
            return signature
    is_name = _BARE_NAME.fullmatch(joined) and _PERSON_TABLE.search(_joined(table))
    return _BARE if is_name and kind in _BARE.kinds else None


def _joined(name: str) -> str:
    return f"_{'_'.join(words(name))}_"


def _tells(found: re.Match[str], joined: str, kind: Kind) -> bool:
    last = joined.rsplit("_", 2)[-2]
    term = found["term"] or ""
    if last in ABOUT_SOMETHING.split():
        return found.end() == len(joined) and bool(term)  # such as marital_status
    # A number that refers to something is not that thing itself.
    return last != "id" or kind not in ("integer", "uuid") or term.endswith("id")
