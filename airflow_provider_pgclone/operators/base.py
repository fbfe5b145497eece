"""What all operators share: their fields, the call of the hook, errors, and being killed."""

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.exceptions import AirflowProviderDeprecationWarning
from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator
from airflow.sdk.log import mask_secret

from airflow_provider_pgclone.core.errors import PermanentError, PgCloneError
from airflow_provider_pgclone.options import (
    BY_NAME,
    HOOK_ARGUMENTS,
    METHOD_ARGUMENTS,
    OptionSource,
    Verb,
)

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_pgclone.hooks import PgCloneHook

# From _keep() to the DAG file by way of __init__; Airflow adds the level of its wrapper.
_STACK_LEVEL = 3


class PgCloneBaseOperator(BaseOperator):
    """The arguments of every operator.

    The value of an option that is left out comes from the named configuration, what the section
    ``[pgclone]`` of Airflow's config gives the connection (or the connection's extra ``pgclone``),
    the section itself, or the default.

    An operator names its verb and its subjects. All arguments of its ``__init__`` are template
    fields; they are spelled out there, because Airflow fills ``default_args`` by their names. A
    subclass of yours may change ``template_fields`` and ``secret_fields``, and override
    :meth:`make_hook` and :meth:`call`: every argument still reaches the hook.

    :param postgres_conn_id: the Airflow connection of the PostgreSQL server. Default:
        postgres_default.
    :param config: the name of a configuration.
    """

    verb: ClassVar[Verb]
    # What the verb works on: arguments of the hook's method that are not options.
    subjects: ClassVar[Sequence[str]] = ()

    template_fields: Sequence[str] = ("postgres_conn_id", "config")
    # Hidden in logs and where Airflow shows what was rendered.
    secret_fields: Sequence[str] = tuple(name for name, o in BY_NAME.items() if o.is_secret)
    # The XCom with the dump key, for the link to the page of the dump.
    dump_key_xcom: ClassVar[str] = "return_value"
    # The arguments of the operator's own __init__, whatever is rendered of them.
    _arguments: ClassVar[Sequence[str]] = ()

    if TYPE_CHECKING:  # the arguments of each operator, which _keep() makes attributes

        def __getattr__(self, name: str) -> Any: ...

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__module__.startswith(f"{__package__}."):  # not a subclass of a user's
            own = inspect.signature(cls.__init__).parameters.values()
            names = [argument.name for argument in own if argument.kind is argument.KEYWORD_ONLY]
            cls._arguments = names
            cls.template_fields = (*PgCloneBaseOperator.template_fields, *names)

    def __init__(
        self,
        *,
        postgres_conn_id: str | None = None,
        config: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.postgres_conn_id = postgres_conn_id
        self.config = config
        self._hook: PgCloneHook | None = None

    def _keep(self, arguments: Mapping[str, Any]) -> None:
        """Make attributes of the arguments, and refuse values that need not wait for a run.

        :param arguments: the ``locals()`` of ``__init__``.
        :raises InvalidInputError: for a value that the option cannot have; names the task.
        """
        given = {name: arguments[name] for name in self._arguments}
        for name, value in given.items():
            setattr(self, name, value)
        source = OptionSource(f"the task {self.task_id!r}", given)
        for name, value in given.items():
            option = BY_NAME.get(name)
            if option is not None and not option.reads_late and _is_literal(value):
                source.get(name)
        for text in source.deprecations(self.verb):
            warnings.warn(text, AirflowProviderDeprecationWarning, stacklevel=_STACK_LEVEL)

    def execute(self, context: "Context") -> Any:
        """Call the hook once.

        :raises AirflowFailException: when another try would fail again, so that there is none.
        :raises PgCloneError: for other errors.
        """
        return self._with_hook(lambda hook: self.call(hook, context), context)

    def _with_hook(self, step: Callable[["PgCloneHook"], Any], context: "Context") -> Any:
        """Make the hook and do a step with it, with the errors of :meth:`execute`."""
        from airflow_provider_pgclone.operators.kept_progress import KeptProgress

        self._hook = self.make_hook()
        self._hook.also_tell(KeptProgress(context))
        try:
            result = step(self._hook)
            self._hook.raise_if_cancelled()
            return result
        except PgCloneError as error:
            failure = self._log_failure(error)
        # Outside of the handler: Airflow logs the traceback of what it gets, and of all that was
        # being handled when that was raised.
        raise failure

    def _log_failure(self, error: PgCloneError) -> Exception:
        """Log what happened and what to do about it, and return the error for Airflow.

        :return: an error without the traceback and the causes of the first, which are logged at
            the level debug.
        """
        self.log.error("%s", error.message)
        if error.hint:
            self.log.error("%s", error.hint)
        self.log.debug("where it was raised", exc_info=error)
        kind = AirflowFailException if isinstance(error, PermanentError) else type(error)
        return kind(error.message)

    def call(self, hook: "PgCloneHook", context: "Context") -> Any:
        """Call the hook's method of the verb; an operator adds its own step here."""
        return self.call_method(hook)

    def call_method(self, hook: "PgCloneHook", **more: Any) -> Any:
        """Call the hook's method of the verb with the subjects and the options of the operator.

        :param more: other arguments of the method.
        """
        method = getattr(hook, self.verb)
        of_method = METHOD_ARGUMENTS[self.verb]
        names = [name for name in self._arguments if name in of_method]
        return method(**{name: getattr(self, name) for name in (*self.subjects, *names)}, **more)

    def given(self, *names: str) -> dict[str, Any]:
        """Return arguments by name; deprecated, as :meth:`call_method` passes on all of them."""
        warnings.warn(
            "PgCloneBaseOperator.given() is deprecated: use call_method()",
            AirflowProviderDeprecationWarning,
            stacklevel=2,
        )
        return {name: getattr(self, name) for name in names}

    def make_hook(self) -> "PgCloneHook":
        """Return the hook with the arguments of this operator that are the hook's."""
        from airflow_provider_pgclone.hooks import PgCloneHook

        names = [name for name in HOOK_ARGUMENTS if hasattr(self, name)]
        return PgCloneHook(config=self.config, **{name: getattr(self, name) for name in names})

    def on_kill(self) -> None:
        """End the children; ``execute`` then raises an error, since Airflow lets it go on."""
        if self._hook is not None:
            self._hook.cancel()

    def _do_render_template_fields(self, parent: Any, *args: Any, **kwargs: Any) -> None:
        """Render the fields, hide secrets, and refuse a given field that renders to nothing.

        If that counted as an argument that was not given, a restore would go over the default
        database, and a dump would leave nothing out. Mapped tasks come this way as well.
        """
        given = [name for name in self.template_fields if getattr(parent, name, None) is not None]
        super()._do_render_template_fields(parent, *args, **kwargs)
        for name in self.secret_fields:
            if (value := getattr(parent, name, None)) is not None:
                mask_secret(value)
        for name in given:
            if getattr(parent, name, None) in (None, "None"):
                raise AirflowFailException(f"the argument {name} was rendered to nothing")


def _is_literal(value: object) -> bool:
    """Tell whether a value is known when a DAG is parsed: neither a template nor an XComArg."""
    if isinstance(value, str):
        return not any(mark in value for mark in ("{{", "{%", "{#"))
    if isinstance(value, list | tuple):
        return all(_is_literal(item) for item in value)
    return value is None or isinstance(value, bool | int | float)
