"""The dumps among which a person chooses the one to restore, and the check of the choice."""

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice

from airflow_provider_pgclone.core.archive import required_signing_key
from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.errors import (
    ArchiveError,
    InvalidInputError,
    NotAllowedError,
    NotFoundError,
    UnsupportedError,
)
from airflow_provider_pgclone.core.progress import format_age, format_bytes
from airflow_provider_pgclone.core.repository.dumps import Dump, newest_first
from airflow_provider_pgclone.core.repository.keys import KeyPrefix
from airflow_provider_pgclone.core.repository.lookup import find_dump
from airflow_provider_pgclone.core.repository.requirements import (
    check_data,
    check_required,
)
from airflow_provider_pgclone.core.repository.stored_archive import Archive, open_archive
from airflow_provider_pgclone.core.repository.summaries import DumpSummary, read_summaries
from airflow_provider_pgclone.core.storage import Storage
from airflow_provider_pgclone.core.visible import get_log, visible_text

log = get_log(__name__)

# A person reads no more, nor does a form show them well.
DEFAULT_CHOICES = 100
# The check of a signature is a few small reads, which mostly wait for storage.
_READERS = 8


@dataclass(frozen=True)
class Wanted:
    """Which dumps may be chosen.

    :param prefix: whole leading parts of their keys; empty for all dumps.
    :param require_masked: whether only masked dumps.
    :param require_verified: whether only dumps that a verification has found whole.
    :param require_signed: whether only dumps that were signed with the signing key.
    :param signing_key: the secret with which dumps were signed.
    """

    prefix: str = ""
    require_masked: bool = False
    require_verified: bool = False
    require_signed: bool = False
    signing_key: str | None = field(default=None, repr=False)

    def check(self, archive: Archive) -> None:
        """Refuse a dump that lacks what is required.

        :raises UnsupportedError: when it is not masked, verified or signed, and must be.
        :raises NotAllowedError: when its signature is not that of the signing key.
        """
        check_required(
            archive,
            masked=self.require_masked,
            verified=self.require_verified,
            signed=self.require_signed,
            signing_key=self.signing_key,
        )


@dataclass(frozen=True)
class Choice:
    """A dump, and what a person reads of it.

    :param label: differs from those of all other choices.
    """

    key: str
    label: str


def list_choices(
    storage: Storage, wanted: Wanted, *, limit: int | None, cancellation: Cancellation
) -> list[Choice]:
    """Return the newest dumps that may be chosen, without those that cannot be restored.

    :param limit: how many; ``None`` means the default.
    :raises NotFoundError: when there is none.
    """
    prefix, most = KeyPrefix.parse(wanted.prefix), limit or DEFAULT_CHOICES
    storage.check_readable()
    dumps = (
        dump
        for dump in newest_first(storage, prefix)
        if dump.finding != "damaged" and (dump.is_verified or not wanted.require_verified)
    )
    found: list[DumpSummary] = []
    while len(found) < most and (some := list(islice(dumps, most))):
        if wanted.require_signed:
            some = list(_fit(storage, some, wanted, cancellation))
        for one in read_summaries(storage, some, known={}, cancellation=cancellation):
            if one.problem:
                log.warning("%s cannot be chosen: %s", one.key, one.problem)
            elif one.is_masked or not wanted.require_masked:
                found.append(one)
    if not found:
        raise _nothing(storage, wanted)
    return labelled(found[:most], datetime.now(UTC))


def labelled(summaries: Sequence[DumpSummary], at: datetime) -> list[Choice]:
    """Return choices with labels of which no two are the same.

    :param at: the moment for which ages are told.
    """
    labels = [_label(one, at) for one in summaries]
    times = Counter(labels)
    return [
        Choice(one.key, label if times[label] == 1 else f"{label}, {one.key}")
        for one, label in zip(summaries, labels, strict=True)
    ]


def check_choice(storage: Storage, text: str, wanted: Wanted) -> str:
    """Return the key of a dump that was chosen, or of the newest under a prefix that was.

    A form and an API take any text, so that the dump is looked up again.

    :raises NotFoundError: when there is no such dump.
    :raises InvalidInputError: when it is not under the prefix.
    :raises ArchiveError: when it is damaged.
    :raises UnsupportedError: when it is not masked, verified or signed, and must be, or a prefix
        was chosen and it lacks all rows.
    :raises NotAllowedError: when its signature is not that of the signing key.
    """
    dump = find_dump(storage, text)
    if not dump.key.startswith(str(KeyPrefix.parse(wanted.prefix))):
        raise InvalidInputError(
            f"{dump.key} is not under the prefix {wanted.prefix!r}",
            hint="Choose one of the dumps under it, or change the prefix in the DAG.",
        )
    if dump.finding == "damaged":
        raise ArchiveError(
            f"{dump.key} was found to be damaged by a verification",
            hint="Choose another dump, or verify it again.",
        )
    archive = open_archive(storage, dump)
    wanted.check(archive)
    if text != dump.key:
        check_data(archive)
    return dump.key


def _fit(
    storage: Storage, dumps: Sequence[Dump], wanted: Wanted, cancellation: Cancellation
) -> Iterator[Dump]:
    """Yield the dumps that have what is required, by their archives; log why others have not."""
    required_signing_key(wanted.signing_key)

    def problem(dump: Dump) -> str:
        cancellation.check()
        try:
            wanted.check(open_archive(storage, dump))
        except (ArchiveError, NotAllowedError, NotFoundError, UnsupportedError) as error:
            return error.message
        return ""

    with ThreadPoolExecutor(_READERS) as pool:
        for dump, why in zip(dumps, pool.map(problem, dumps), strict=True):
            if why:
                log.warning("%s cannot be chosen: %s", dump.key, why)
            else:
                yield dump


def _label(one: DumpSummary, at: datetime) -> str:
    """Tell of a dump in one line, its age first; seconds tell dumps of one minute apart."""
    parts = [
        f"{format_age((at - one.created_at).total_seconds())} ago",
        f"{one.created_at:%Y-%m-%d %H:%M:%S} UTC",
        visible_text(one.database),
        format_bytes(one.size_bytes),
        "masked" if one.is_masked else "not masked",
        *(["verified"] if one.finding else []),
        *(["partial"] if one.left_out else []),
    ]
    return ", ".join(parts)


def _nothing(storage: Storage, wanted: Wanted) -> NotFoundError:
    kinds = ["masked"] if wanted.require_masked else []
    kinds += ["verified"] if wanted.require_verified else []
    kinds += ["signed"] if wanted.require_signed else []
    kind = " and ".join(kinds)
    where = f"under the prefix {wanted.prefix!r} in" if wanted.prefix else "in"
    return NotFoundError(
        f"no {kind + ' ' if kind else ''}dump that can be restored is {where} {storage.location}",
        hint="Make one, or correct the prefix, the storage location or what is required.",
    )
