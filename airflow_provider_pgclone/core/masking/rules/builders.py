"""Builds the SQL of each rule from PostgreSQL's own functions; equal values get equal masks.

Rules for values that somebody could guess and try out, such as email addresses or phone numbers,
use SHA-256 with the key in front. So do noise and the shift of a moment, since a known value shows
almost every bit of the number by which it was moved. Rules that only pick one of a few words, or
move a date by days, use PostgreSQL's own hash with secret seeds, which takes a twentieth of the
time.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from airflow_provider_pgclone.core.catalog import ColumnType, Kind
from airflow_provider_pgclone.core.masking.rules.digits import digits
from airflow_provider_pgclone.core.masking.rules.key import (
    KEY_SETTING,
    MAX_BIGINT,
    NOISE_KEY_SETTING,
    Seed,
    seed,
)
from airflow_provider_pgclone.core.masking.rules.language import Rule
from airflow_provider_pgclone.core.masking.rules.words import (
    CITIES,
    COMPANIES,
    COMPANY_FORMS,
    FIRST_NAMES,
    LAST_NAMES,
    LOREM,
    STREETS,
)

# The kinds whose buckets are units, such as a month.
TIMES = ("date", "timestamp", "timestamptz")
# These are 80 bits: even among a hundred million values, two equal hashes are very unlikely.
UNIQUE_HASH_CHARS = 20
_EMAIL_HASH_CHARS = 18
_PHONE_DIGITS = 11
_LOREM_STARTS = 64
_IPV4_HOSTS = 2**24 - 1
# The number of steps in each direction, too many to tell from a result which of them was taken.
_NOISE_STEPS = 2**62
_DAY = 24 * 60 * 60 * 1_000_000  # microseconds
_LIMITS = {"int2": 32767, "int4": 2147483647, "int8": MAX_BIGINT}
_KEY = f"(SELECT decode(current_setting('{KEY_SETTING}'), 'hex'))"
_NOISE_KEY = f"(SELECT decode(current_setting('{NOISE_KEY_SETTING}'), 'hex'))"


@dataclass(frozen=True)
class Builder:
    """How a rule masks the values of one kind.

    :param build: returns the SQL of the masked value, given the SQL of the original one.
    :param longest: the maximum length in characters; ``None`` is the length of the original value.
    :param may_be_cut: whether a shorter column may take the beginning of a masked value.
    :param keeps_unique: whether different values stay different, apart from negligible chances.
    :param is_keyed: whether it needs the mask key.
    """

    build: Callable[[str, ColumnType, Rule], str]
    longest: int | None = None
    may_be_cut: bool = True
    keeps_unique: bool = False
    is_keyed: bool = True


def builder_of(rule: Rule, kind: Kind) -> Builder | None:
    """Return how a rule masks values of a kind; ``None`` if it cannot."""
    if rule.name == "hash" and kind == "text":
        chars = int(rule["chars"])
        return Builder(_hash, longest=chars, keeps_unique=chars >= UNIQUE_HASH_CHARS)
    if rule.name == "email" and kind == "text":
        longest = _longest(FIRST_NAMES) + 1 + _EMAIL_HASH_CHARS + 1 + len(rule["domain"])
        return Builder(_email, longest=longest, may_be_cut=False, keeps_unique=True)
    if rule.name == "bucket" and str(rule["step"]).isalpha() != (kind in TIMES):
        return None
    return _BUILDERS.get((rule.name, kind))


def kinds_of(name: str) -> list[Kind]:
    """Return the kinds of values that a rule can mask."""
    own: list[Kind] = ["text"] if name in ("hash", "email") else []
    return own + [kind for rule, kind in _BUILDERS if rule == name]


def _digest(value: str, key: str = _KEY) -> str:
    # textsend() uses the encoding of the client, which is UTF-8 in all sessions. convert_to() takes
    # twice as long.
    return f"sha256({key} || textsend({value}))"


def _hex(value: str, key: str = _KEY) -> str:
    return f"encode({_digest(value, key)}, 'hex')"


def _number_of(value: str) -> str:
    """Return the SQL of 60 bits of the hash of a text."""
    return f"('x' || left({_hex(value)}, 15))::bit(60)::bigint"


def _chance(value: str, number: Seed) -> str:
    """Return the SQL of a number from 0 up that a text selects.

    :param number: that of this use.
    """
    return f'(hashtextextended({value} COLLATE "C", {seed(number)}) & {MAX_BIGINT})'


def _pick(words: Sequence[str], value: str, number: Seed) -> str:
    listed = ",".join(f'"{word}"' for word in words)
    return f"('{{{listed}}}'::text[])[1 + ({_chance(value, number)} % {len(words)})::integer]"


def _longest(words: Sequence[str]) -> int:
    return max(map(len, words))


def _hash(value: str, _: ColumnType, rule: Rule) -> str:
    return f"left({_hex(value)}, {rule['chars']})"


def _hash_of_integer(value: str, column: ColumnType, _: Rule) -> str:
    return f"({_number_of(f'{value}::text')} & {_LIMITS[column.base]})"


def _hash_of_bytes(value: str, _column: ColumnType, _rule: Rule) -> str:
    # Bytes can be appended to what was hashed, without the key, if the whole hash is shown. A text
    # cannot contain the padding that this takes.
    return f"sha256({_KEY} || sha256({_KEY} || {value}))"


def _email(value: str, _: ColumnType, rule: Rule) -> str:
    names = [f"{name.lower()}." for name in FIRST_NAMES]
    hashed = f"left({_hex(value)}, {_EMAIL_HASH_CHARS})"
    return f"{_pick(names, value, Seed.EMAIL)} || {hashed} || '@{rule['domain']}'"


def _first_name(value: str, _column: ColumnType, _rule: Rule) -> str:
    return _pick(FIRST_NAMES, value, Seed.FIRST_NAME)


def _last_name(value: str, _column: ColumnType, _rule: Rule) -> str:
    return _pick(LAST_NAMES, value, Seed.LAST_NAME)


def _name(value: str, _column: ColumnType, _rule: Rule) -> str:
    first_name = _pick(FIRST_NAMES, value, Seed.FIRST_NAME)
    return f"{first_name} || ' ' || {_pick(LAST_NAMES, value, Seed.LAST_NAME)}"


def _company(value: str, _column: ColumnType, _rule: Rule) -> str:
    company = _pick(COMPANIES, value, Seed.COMPANY)
    return f"{company} || ' ' || {_pick(COMPANY_FORMS, value, Seed.COMPANY_FORM)}"


def _city(value: str, _column: ColumnType, _rule: Rule) -> str:
    return _pick(CITIES, value, Seed.CITY)


def _address(value: str, _column: ColumnType, _rule: Rule) -> str:
    house_number = f"(1 + {_chance(value, Seed.HOUSE_NUMBER)} % 199)::text"
    return f"{house_number} || ' ' || {_pick(STREETS, value, Seed.STREET)}"


def _phone(value: str, _column: ColumnType, _rule: Rule) -> str:
    # No country has the code 999: ITU-T E.164, "List of assigned country codes".
    number = f"({_number_of(value)} % {10**_PHONE_DIGITS})::text"
    return f"'+999' || lpad({number}, {_PHONE_DIGITS}, '0')"


def _digits(value: str, _column: ColumnType, _rule: Rule) -> str:
    return digits(value)


def _text(value: str, _column: ColumnType, _rule: Rule) -> str:
    least = len(LOREM) - _LOREM_STARTS
    start = f"1 + ({_chance(value, Seed.TEXT)} % {_LOREM_STARTS})::integer"
    piece = f"substr('{LOREM}', {start})"
    return f"left(repeat({piece}, 1 + length({value}) / {least}), length({value}))"


def _uuid(value: str, _: ColumnType, _rule: Rule) -> str:
    # Version 8 is for UUIDs of one's own making: RFC 9562, section 5.8.
    marked = f"overlay(left({_hex(f'{value}::text')}, 32) placing '8' from 13 for 1)"
    return f"overlay({marked} placing 'a' from 17 for 1)::uuid"


def _uuid_as_text(value: str, column: ColumnType, rule: Rule) -> str:
    return f"{_uuid(value, column, rule)}::text"


def _ip(value: str, _column: ColumnType, _rule: Rule) -> str:
    # These addresses are not routed: RFC 1918 and RFC 4193.
    number = _number_of(f"host({value})")
    four = f"'10.0.0.0'::inet + ({number} & {_IPV4_HOSTS})"
    six = f"'fd00::'::inet + {number}"
    masked = f"CASE family({value}) WHEN 4 THEN {four} ELSE {six} END"
    return f"set_masklen({masked}, masklen({value}))"


def _ip_as_text(value: str, _column: ColumnType, _rule: Rule) -> str:
    number = _number_of(value)
    four = f"host('10.0.0.0'::inet + ({number} & {_IPV4_HOSTS}))"
    return (
        f"CASE WHEN strpos({value}, ':') > 0 THEN host('fd00::'::inet + {number}) ELSE {four} END"
    )


def _url(value: str, _column: ColumnType, _rule: Rule) -> str:
    return f"'https://example.com/' || left({_hex(value)}, {UNIQUE_HASH_CHARS})"


def _date_shift(value: str, _column: ColumnType, rule: Rule) -> str:
    """Return the SQL of a date moved back or forth, by one day at least."""
    days = int(rule["days"])
    hashed = f"timestamp_hash_extended({value}::timestamp, {seed(Seed.DATE_SHIFT)})"
    chance = f"(({hashed} & {MAX_BIGINT}) % {2 * days})"
    return f"{value} + ({chance} - {days} + ({chance} >= {days})::integer)::integer"


def _time_shift(value: str, column: ColumnType, rule: Rule) -> str:
    """Return the SQL of a moment moved back or forth by microseconds, by half a day at least.

    If the time of day stayed, it would tell the row by another column with the same moment.
    """
    days = int(rule["days"])
    utc = f"timezone('UTC', {value})" if column.kind == "timestamptz" else value
    hashed = _hex(f"'shift {days} ' || ({utc})::text", _NOISE_KEY)
    span = days * _DAY - _DAY // 2
    # OFFSET 0 keeps the planner from copying the digest to each place that names the distance.
    shift = (
        f"(SELECT r - {span} + CASE WHEN r < {span} THEN -{_DAY // 2} ELSE {_DAY // 2} END "
        f"FROM (SELECT (('x' || left({hashed}, 16))::bit(64)::bigint & {MAX_BIGINT}) % {2 * span} "
        "AS r OFFSET 0) AS shift)"
    )
    return f"{value} + {shift} * interval '1 microsecond'"


def _noise(value: str, column: ColumnType, rule: Rule) -> str:
    """Return the SQL of a number moved by a part of it.

    The part depends on the percentage too. If two dumps moved a value by the same part of 10 and of
    25 percent, the two results would tell the value.
    """
    percent = rule["percent"]
    source = f"'{percent} {column.base} ' || trim_scale({value}::numeric)::text"
    hashed = _hex(source, _NOISE_KEY)
    step = f"((('x' || left({hashed}, 16))::bit(64)::bigint & {MAX_BIGINT}) - {_NOISE_STEPS})"
    part = f"({step} * {percent / 100 / _NOISE_STEPS:.36f})"
    if column.base in ("float4", "float8"):
        return f"{value} * (1 + {part})::float8"
    if column.kind == "integer":
        # A small number moves by one at least. OFFSET 0 keeps the planner from copying the digest
        # to each place that names the distance.
        moved = (
            "(SELECT CASE WHEN distance > 0 THEN greatest(round(distance), 1) "
            "WHEN distance < 0 THEN least(round(distance), -1) ELSE 0 END "
            f"FROM (SELECT {value} * {part} AS distance OFFSET 0) AS noise)"
        )
        return _within(f"({value} + {moved})", column, value)
    return _within(f"round({value} * (1 + {part}), coalesce(scale({value}), 0))", column, value)


def _bucket(value: str, column: ColumnType, rule: Rule) -> str:
    step = str(rule["step"])
    if column.base in ("float4", "float8"):
        return f"floor({value} / {step}::float8) * {step}::float8"
    return _within(f"floor({value}::numeric / {step}) * {step}", column, value)


def _bucket_of_time(value: str, column: ColumnType, rule: Rule) -> str:
    if column.kind == "timestamptz":
        return f"date_trunc('{rule['step']}', {value}, 'UTC')"
    return f"date_trunc('{rule['step']}', {value}::timestamp)"


def _within(number: str, column: ColumnType, value: str) -> str:
    """Return the SQL of a number, limited to the range of its type."""
    limit = _limit(column)
    if limit is None:
        return number
    # least() ignores null, so null would become the limit.
    return f"CASE WHEN {value} IS NOT NULL THEN greatest(least({number}, {limit}), -{limit}) END"


def _limit(column: ColumnType) -> str | None:
    if column.base in _LIMITS:
        return str(_LIMITS[column.base])
    if column.base != "numeric" or column.modifier < 0:
        return None
    # As numeric_typmod_precision() and numeric_typmod_scale() in numeric.c do. Since PostgreSQL 15
    # the scale may be negative.
    packed = column.modifier - 4
    precision, scale = packed >> 16, ((packed & 0x7FF) ^ 1024) - 1024
    return f"(1e{precision - scale} - 1e{-scale})::numeric"


_OF_TEXT: Mapping[str, Builder] = {
    "name": Builder(_name, longest=_longest(FIRST_NAMES) + 1 + _longest(LAST_NAMES)),
    "first_name": Builder(_first_name, longest=_longest(FIRST_NAMES)),
    "last_name": Builder(_last_name, longest=_longest(LAST_NAMES)),
    "company": Builder(_company, longest=_longest(COMPANIES) + 1 + _longest(COMPANY_FORMS)),
    "phone": Builder(_phone, longest=4 + _PHONE_DIGITS),
    "address": Builder(_address, longest=4 + _longest(STREETS)),
    "city": Builder(_city, longest=_longest(CITIES)),
    # These keep the length of the original value.
    "digits": Builder(_digits),
    "text": Builder(_text),
    "uuid": Builder(_uuid_as_text, longest=36, may_be_cut=False, keeps_unique=True),
    "ip": Builder(_ip_as_text, longest=39, may_be_cut=False),
    "url": Builder(_url, longest=40, may_be_cut=False, keeps_unique=True),
}
_BUILDERS: Mapping[tuple[str, Kind], Builder] = {
    **{(name, "text"): builder for name, builder in _OF_TEXT.items()},
    ("hash", "integer"): Builder(_hash_of_integer),
    ("hash", "bytea"): Builder(_hash_of_bytes, keeps_unique=True),
    ("uuid", "uuid"): Builder(_uuid, keeps_unique=True),
    ("ip", "inet"): Builder(_ip),
    ("date_shift", "date"): Builder(_date_shift),
    ("date_shift", "timestamp"): Builder(_time_shift),
    ("date_shift", "timestamptz"): Builder(_time_shift),
    ("noise", "integer"): Builder(_noise),
    ("noise", "number"): Builder(_noise),
    ("bucket", "integer"): Builder(_bucket, is_keyed=False),
    ("bucket", "number"): Builder(_bucket, is_keyed=False),
    ("bucket", "date"): Builder(_bucket_of_time, is_keyed=False),
    ("bucket", "timestamp"): Builder(_bucket_of_time, is_keyed=False),
    ("bucket", "timestamptz"): Builder(_bucket_of_time, is_keyed=False),
}
