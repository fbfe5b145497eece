"""The rule ``digits``: replaces the digits of a text and keeps the characters between them.

All digits of a text are encrypted as one number, by a Feistel network of the same width. So
different numbers of the same format stay different, as a unique constraint requires. The rounds use
PostgreSQL's own hash with secret seeds. (FF1 of NIST SP 800-38G has the same structure, but uses
AES, which PostgreSQL does not have.)
"""

from airflow_provider_pgclone.core.masking.rules.key import MAX_BIGINT, Seed, seed

_ROUNDS = 8
# Each half is a bigint and holds 18 digits.
_MOST_DIGITS = 36
_POWERS = ",".join(str(10**power) for power in range(19))
# These characters mean something to to_char(): "Template Patterns for Numeric Formatting" in
# PostgreSQL's documentation. So do letters, but they are replaced by x before.
_SPECIAL, _STAND_INS = r'.,"\\', r"\001\002\003\004"


def digits(value: str) -> str:
    """Return the SQL of a text with its digits replaced by others and its letters by x.

    In a text of more than 36 digits each digit becomes 0.
    """
    halves = (
        f"SELECT v, length(d) AS k, ('0' || left(d, length(d) / 2))::bigint AS l, "
        f"('0' || substr(d, length(d) / 2 + 1))::bigint AS r, "
        f"('{{{_POWERS}}}'::bigint[])[length(d) / 2 + 1] AS m, "
        f"('{{{_POWERS}}}'::bigint[])[length(d) - length(d) / 2 + 1] AS n "
        f"FROM (SELECT v, regexp_replace(v, '[^0-9]', '', 'g') AS d "
        f"FROM (SELECT {_without_letters(value)} AS v OFFSET 0) AS value OFFSET 0) AS found "
        f"WHERE length(d) BETWEEN 1 AND {_MOST_DIGITS} OFFSET 0"
    )
    for number in range(_ROUNDS):
        halves = _round(halves, number)
    encrypted = "(lpad(l::text, k / 2, '0') || lpad(r::text, k - k / 2, '0'))"
    formatted = f"(SELECT {_formatted('v', encrypted)} FROM ({halves}) AS done)"
    plain = _without_letters(value)
    return f"coalesce({formatted}, translate({plain}, '0123456789', '0000000000'))"


def _round(halves: str, number: int) -> str:
    """Return the SQL of the halves after a round.

    OFFSET 0 keeps the planner from copying the round into the next one, which would double it.
    """
    half, other, modulus = ("l", "r", "m") if number % 2 == 0 else ("r", "l", "n")
    mixed = f"hashint8extended({other}, {seed(Seed.DIGITS + number)} # (k * 16 + {number}))"
    changed = f"({half} + (({mixed}) & {MAX_BIGINT}) % {modulus}) % {modulus} AS {half}"
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
