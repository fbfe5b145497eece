"""Let a person pick the dump to restore."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param
from airflow.sdk.definitions.param import ParamsDict

from airflow_provider_pgclone.core.errors import InvalidInputError
from airflow_provider_pgclone.operators.base import PgCloneBaseOperator

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg

    from airflow_provider_pgclone.hooks import PgCloneHook

# In the conf and the params of a run: the key that is given beforehand.
DUMP_KEY = "dump_key"
# The field of the form.
_FIELD = "dump"
_BUTTON = "Take this dump"


class PgClonePickDumpOperator(PgCloneBaseOperator, HITLOperator):  # type: ignore[misc]
    """Ask a person for a dump by a list that is made when the task runs, and return its key.

    The list tells the age, the size and the database of each dump, and whether it is masked and
    verified, the newest first. It has only dumps that a restore takes: what the connection
    requires of restores holds here too. The answer is checked against the storage again.

    Where the run's ``conf`` or ``params`` has a ``dump_key``, nobody is asked: the task checks that
    key and returns it. It may be a dump key, a prefix (its newest dump), or a local key: with a
    prefix to choose from, ``:pre`` or ``:post`` alone. The arguments of Airflow's HITLOperator,
    such as ``response_timeout``, ``assigned_users`` and ``notifiers``, are taken too.

    :param prefix: whole leading parts of the keys to choose from; empty for all dumps.
    :param check_target: whether ``database`` is what a restore then replaces: it is checked before
        anybody is asked. Default: False; True in a :func:`restore_task_group`.
    :param database: the database to dump, to restore over or to copy. Default: the connection's.
    :param storage_location: where dumps are stored: ``s3://bucket/prefix/``, ``file:///folder/`` or
        the path of a folder. Default: none; it must be set.
    :param storage_conn_id: the AWS connection for ``s3://`` locations. Default: aws_default.
    :param limit: the largest number of keys to list; no more are read from storage. Default: all;
        100 where a person picks one.
    :param require_verified: whether to restore only dumps that a verification found intact.
        Default: False.
    :param require_masked: whether only masked databases are made: restores and drills take masked
        dumps alone, and copies go by ``stream``, with masks; if one source requires it, no other
        can lift it. Default: False.
    :param restore_over: the only databases that may be replaced or made, as patterns such as
        ``shop_staging*`` in the syntax of Python's fnmatch; if several sources set it, each must
        allow the database. Default: all.
    :param create_target: whether a restore, a swap or a copy by ``stream`` makes its target if no
        database has that name; otherwise it is refused, as a wrong name would be. A swap makes none
        either if its restore may not. Default: True.
    :param require_signed: whether to take only dumps that the signing key signed, under the key
        that they have; if one source requires it, no other can lift it. Default: False.
    :param signing_key: the secret that signs dumps, and by which ``require_signed`` knows them; it
        has at least 16 characters. Default: none.
    :param signing_key_conn_id: the Airflow connection whose password is the signing key. Default:
        none.
    :param maintenance_database: the database to connect to while other databases are created,
        renamed and dropped. Default: postgres.
    """

    verb = "choices"
    subjects = ("prefix", "check_target")

    def __init__(
        self,
        *,
        prefix: "str | XComArg" = "",
        check_target: bool = False,
        database: str | None = None,
        storage_location: str | None = None,
        storage_conn_id: str | None = None,
        limit: int | str | None = None,
        require_verified: bool | str | None = None,
        require_masked: bool | str | None = None,
        restore_over: str | Sequence[str] | None = None,
        create_target: bool | str | None = None,
        require_signed: bool | str | None = None,
        signing_key: str | None = None,
        signing_key_conn_id: str | None = None,
        maintenance_database: str | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("subject", "Which dump?")
        # No default: a timeout must not take a dump that nobody has picked.
        super().__init__(options=[_BUTTON], **kwargs)
        self._keep(locals())

    def call(self, hook: "PgCloneHook", context: "Context") -> str:
        """Return the key that was given beforehand, otherwise wait for the answer."""
        choices = self.call_method(hook)
        if given := _given_key(context):
            return str(choices.check(given))
        found = choices.list()
        field = Param(
            found[0].key,
            type="string",
            title="Dump",
            enum=[one.key for one in found],
            values_display={one.key: one.label for one in found},
        )
        self.params = ParamsDict({_FIELD: field})
        HITLOperator.execute(self, context)  # which raises, to wait for the answer
        raise RuntimeError("Airflow does not wait for an answer")

    def execute_complete(self, context: "Context", event: Mapping[str, Any]) -> str:
        """Return the key of the answer.

        :param event: the answer, as Airflow's HITLOperator gets it.
        """
        self.params = ParamsDict()  # those of the DAG are not the form's
        answer = HITLOperator.execute_complete(self, context, dict(event))
        picked = answer["params_input"].get(_FIELD)

        def check(hook: "PgCloneHook") -> str:
            if not isinstance(picked, str) or not picked:
                raise InvalidInputError(
                    "the answer has no dump", hint=f"Give a dump key as {_FIELD} in the answer."
                )
            return str(self.call_method(hook).check(picked))

        return str(self._with_hook(check, context))


def _given_key(context: "Context") -> str | None:
    """Return the key that the run was given; an empty field of a form gives none."""
    conf, params = context["dag_run"].conf or {}, context["params"]
    given = conf.get(DUMP_KEY) or params.get(DUMP_KEY)
    if given is not None and not isinstance(given, str):
        raise InvalidInputError(f"{DUMP_KEY} is {given!r}", hint=f"Give {DUMP_KEY} as a text.")
    return given or None
