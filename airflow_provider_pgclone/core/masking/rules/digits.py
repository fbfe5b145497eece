"""The rule ``digits``: each digit becomes another, and what is between them stays.

The digits together are enciphered as one number, by a Feistel network that is as wide as they are:
so different numbers of a format stay different, as a unique constraint has it. Its rounds are
PostgreSQL's own hash with secret seeds. (FF1 of NIST SP 800-38G is built so, with AES in the
rounds, which PostgreSQL has not.)
"""

from airflow_provider_pgclone.core.masking.rules.key import BIGGEST, seed

_ROUNDS = 8
_FIRST_SEED = 11
# As many as fit into the two halves.
MOST_DIGITS = 36
_POWERS = ",".join(str(10**power) for power in range(19))
# What to_char() would take for more than a character: "Template Patterns for Numeric Formatting" in
# PostgreSQL's documentation. Letters are x by then.
_SPECIAL, _STAND_INS = r'.,"\\', r"\001\002\003\004"


def digits(value: str) -> str:
    """Return the SQL that replaces the digits of a text, and its letters by x.

    Of more than 36 digits each becomes 0.
    """
    halves = (
        f"SELECT v, length(d) AS k, ('0' || left(d, length(d) / 2))::bigint AS l, "
        f"('0' || substr(d, length(d) / 2 + 1))::bigint AS r, "
        f"('{{{_POWERS}}}'::bigint[])[length(d) / 2 + 1] AS m, "
        f"('{{{_POWERS}}}'::bigint[])[length(d) - length(d) / 2 + 1] AS n "
        f"FROM (SELECT v, regexp_replace(v, '[^0-9]', '', 'g') AS d "
        f"FROM (SELECT {_without_letters(value)} AS v OFFSET 0) AS value OFFSET 0) AS found "
        f"WHERE length(d) BETWEEN 1 AND {MOST_DIGITS} OFFSET 0"
    )
    for number in range(_ROUNDS):
        halves = _round(halves, number)
    made = "(lpad(l::text, k / 2, '0') || lpad(r::text, k - k / 2, '0'))"
    enciphered = f"(SELECT {_formatted('v', made)} FROM ({halves}) AS done)"
    plain = _without_letters(value)
    return f"coalesce({enciphered}, translate({plain}, '0123456789', '0000000000'))"


def _round(halves: str, number: int) -> str:
    """Return the halves after a round; it is no part of the next one's expression, or they grow."""
    half, other, modulus = ("l", "r", "m") if number % 2 == 0 else ("r", "l", "n")
    mixed = f"hashint8extended({other}, {seed(_FIRST_SEED + number)} # (k * 16 + {number}))"
    changed = f"({half} + (({mixed}) & {BIGGEST}) % {modulus}) % {modulus} AS {half}"
    columns = ", ".join(changed if name == half else name for name in ("l", "r"))
    return f"SELECT v, k, m, n, {columns} FROM ({halves}) AS halves OFFSET 0"


def _formatted(value: str, number: str) -> str:
    template = f"translate({value}, E'0123456789{_SPECIAL}', E'0000000000{_STAND_INS}')"
    written = f"to_char({number}::numeric, 'FM' || {template})"
    return f"translate({written}, E'{_STAND_INS}', E'{_SPECIAL}')"


def _without_letters(value: str) -> str:
    return (
        f"(CASE WHEN {value} ~ '[^0-9[:space:][:punct:]]' "
        f"THEN regexp_replace({value}, '[^0-9[:space:][:punct:]]', 'x', 'g') ELSE {value} END)"
    )
