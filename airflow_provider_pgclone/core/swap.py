"""Swap in a database that a restore left waiting."""

from dataclasses import dataclass, replace
from functools import partial

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.errors import NotFoundError
from airflow_provider_pgclone.core.postgres import Database, Session, connect, database_exists
from airflow_provider_pgclone.core.replacing import (
    AllowedTargets,
    Marker,
    is_temporary_of,
    read_origins,
    ready_marker,
    swap_in,
    target_lock,
    target_properties,
)
from airflow_provider_pgclone.core.visible import get_log

log = get_log(__name__)


@dataclass(frozen=True)
class Swapped:
    """A database that was swapped in.

    :param target: its name now.
    :param key: the key from which it was restored.
    """

    target: str
    key: str


@dataclass(frozen=True)
class SwapOptions:
    """How to swap.

    :param restore_over: which targets are allowed.
    :param create_target: whether the target is made if it does not exist, and the restore may make
        it as well.
    :param wait_seconds: the longest wait for another restore of the target, and for a dump of it,
        in seconds.
    """

    restore_over: AllowedTargets
    create_target: bool
    wait_seconds: float


def swap(
    maintenance: Database, temp_name: str, options: SwapOptions, *, cancellation: Cancellation
) -> Swapped:
    """Swap in a database that a restore left waiting; its marker names the target.

    If it was swapped in before, nothing is done, so that a task whose success was lost can be tried
    again.

    :param temp_name: the temporary database, as the restore returned it.
    :raises NotAllowedError: when a setting does not allow the target.
    :raises NotFoundError: when the database does not exist, or the target does not and may not be
        made.
    :raises BusyError: when another restore or a dump of the target has not finished by then.
    :raises InvalidInputError: when it does not wait for a swap.
    :raises UnsupportedError: when the target's sessions, slots or subscriptions forbid the swap.
    """
    with connect(maintenance, cancellation) as session:
        if (swapped_in := _swapped_in(session, temp_name)) is not None:
            log.info("database %r was swapped in already, for %r", temp_name, swapped_in.target)
            return swapped_in
        try:
            target = _allowed_marker(session, temp_name, options.restore_over).target
        except NotFoundError:
            if (by_other := _swapped_in(session, temp_name)) is None:
                raise
            return by_other  # since the first look
        with target_lock(session, target, wait_seconds=options.wait_seconds):
            if (by_other := _swapped_in(session, temp_name)) is not None:  # during the wait
                return by_other
            # Read again: another swap may have taken the database during the wait.
            marker = _allowed_marker(session, temp_name, options.restore_over)
            if not options.create_target:
                marker = replace(marker, may_create=False)
            swap_in(
                session,
                temp_name,
                marker,
                partial(target_properties, session, target),
                wait_seconds=options.wait_seconds,
            )
    return Swapped(target, marker.key)


def _swapped_in(session: Session, temp_name: str) -> Swapped | None:
    """Return the target for which a database was swapped in, if it is still that.

    An earlier try may have been killed after its swap, before it could say so. Any owner of a
    database may write into its comment that it is what was swapped in: only the target's is
    believed, of whose contents its owner decides anyhow.
    """
    if database_exists(session, temp_name):
        return None
    for name, origin in read_origins(session).items():
        if origin.temp == temp_name and is_temporary_of(temp_name, name):
            return Swapped(name, origin.key)
    return None


def _allowed_marker(session: Session, temp_name: str, restore_over: AllowedTargets) -> Marker:
    marker = ready_marker(session, temp_name)
    restore_over.check(marker.target)
    return marker
