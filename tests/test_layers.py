"""What may import what, and that options are spelled alike wherever they are offered."""

import importlib
import inspect
import json
import pkgutil
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any, get_args, get_type_hints

import airflow
import jsonschema
import pytest
from airflow.exceptions import AirflowProviderDeprecationWarning
from airflow.sdk import DAG, BaseOperator, TaskGroup

import airflow_provider_pgclone.core
from airflow_provider_pgclone import operators
from airflow_provider_pgclone.core.errors import InvalidInputError
from airflow_provider_pgclone.get_provider_info import get_provider_info
from airflow_provider_pgclone.hooks import PgCloneHook
from airflow_provider_pgclone.operators.base import PgCloneBaseOperator
from airflow_provider_pgclone.options import (
    GUARDS,
    HOOK_ARGUMENTS,
    METHOD_ARGUMENTS,
    OPTIONS,
    VERBS,
    Verb,
)

HEAVY = {"psycopg", "psycopg2", "boto3", "botocore", "obstore", "fastapi"}
OPERATORS: dict[Verb, type[PgCloneBaseOperator]] = {
    "dump": operators.PgCloneDumpOperator,
    "ls": operators.PgCloneListOperator,
    "restore": operators.PgCloneRestoreOperator,
    "prune": operators.PgClonePruneOperator,
    "swap": operators.PgCloneSwapOperator,
    "verify": operators.PgCloneVerifyOperator,
    "copy": operators.PgCloneCopyOperator,
    "choices": operators.PgClonePickDumpOperator,
    "waiting": operators.PgCloneApproveSwapOperator,
}
# What a verb works on; it is no option, since no configuration could give it.
SUBJECTS: dict[Verb, tuple[str, ...]] = {
    "choices": ("prefix", "check_target"),
    "current": (),
    "dump": (),
    "ls": ("prefix",),
    "restore": ("key",),
    "swap": ("temp_database",),
    "copy": ("to", "target"),
    "drop_temp": ("temp_database",),
    "prune": ("prefix",),
    "propose_masks": (),
    "test_connection": (),
    "verify": ("key",),
    "waiting": ("temp_database",),
}


def loaded_by(program: str) -> set[str]:
    """Return the top-level modules that a new interpreter has after a program."""
    return {module.partition(".")[0] for module in modules_after(program)}


def modules_after(program: str) -> set[str]:
    shown = "\nimport json, sys; print(json.dumps(sorted(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", program + shown], capture_output=True, text=True, check=True
    )
    return set(json.loads(result.stdout.splitlines()[-1]))


def test_a_restore_imports_nothing_that_reads_or_masks_a_database() -> None:
    core = airflow_provider_pgclone.core.__name__
    loaded = modules_after(f"import {core}.restore")
    assert f"{core}.loading.from_archive" in loaded
    assert not {f"{core}.reading", f"{core}.masking"} & loaded


def test_the_core_imports_no_airflow() -> None:
    package = airflow_provider_pgclone.core
    modules = [
        module.name for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    ]
    assert f"{package.__name__}.storage.s3" in modules
    loaded = loaded_by("\n".join(f"import {name}" for name in modules))
    assert loaded >= {"psycopg", "obstore", "boto3"}
    assert not {name for name in loaded if name.partition("_")[0] == "airflow"} - {
        "airflow_provider_pgclone"
    }


# Airflow 3.1 loads a driver and runs a program for it.
ANY_DAG_FILE = """
from airflow.sdk import BaseOperator
BaseOperator(task_id="first")
"""
DAG_FILE = (
    ANY_DAG_FILE
    + """
import socket, subprocess

def refuse(*arguments, **options):
    raise AssertionError("reached out")

socket.socket.connect = subprocess.Popen.__init__ = refuse
import airflow_provider_pgclone.get_provider_info, airflow_provider_pgclone.settings
from airflow_provider_pgclone import operators
from airflow_provider_pgclone.hooks import PgCloneHook
from airflow_provider_pgclone.plugins.connection_extra import PgClonePlugin
from airflow.sdk import BaseHook, Variable

BaseHook.get_connection = Variable.get = refuse
PgClonePlugin.on_load()
PgCloneHook("nowhere", FOLDER, "nothing", config="none such")
subjects = {"PgCloneRestoreOperator": "key", "PgCloneSwapOperator": "temp_database",
            "PgCloneCopyOperator": "to", "PgClonePruneOperator": "prefix",
            "PgCloneVerifyOperator": "key", "PgCloneApproveSwapOperator": "temp_database"}
for name in operators.__all__:
    subject = {subjects[name]: "x"} if name in subjects else {}
    common = {"postgres_conn_id": "nowhere", "config": "none"} if "Publish" not in name else {}
    getattr(operators, name)(task_id=name, **common, **subject)
"""
)


def test_a_dag_file_loads_neither_a_driver_nor_a_cloud_sdk_and_reaches_for_nothing(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "dumps"
    loaded = loaded_by(DAG_FILE.replace("FOLDER", repr(str(folder))))
    assert "airflow_provider_pgclone" in loaded
    assert not (loaded - loaded_by(ANY_DAG_FILE)) & HEAVY
    assert not folder.exists()


def test_the_provider_info_is_one_that_airflow_takes() -> None:
    schema = Path(airflow.__file__).parent / "provider_info.schema.json"
    jsonschema.validate(get_provider_info(), json.loads(schema.read_text()))


def test_the_modules_of_the_provider_info_can_be_imported() -> None:
    info = get_provider_info()
    named = [
        name
        for kind in ("operators", "hooks")
        for part in info[kind]
        for name in part["python-modules"]
    ]
    assert named
    for name in named:
        importlib.import_module(name)
    for link in info["extra-links"]:
        module, _, name = link.rpartition(".")
        assert getattr(importlib.import_module(module), name)().name


def test_the_config_section_holds_every_option_and_guard() -> None:
    section = get_provider_info()["config"]["pgclone"]["options"]
    assert set(section) == {option.name for option in OPTIONS} | set(GUARDS) | {
        "configs",
        "connections",
        "dumps_page",
    }


def options_of(verb: Verb) -> set[str]:
    return {option.name for option in OPTIONS if verb in option.verbs}.union(SUBJECTS[verb])


def arguments_of(function: Any) -> set[str]:
    return set(inspect.signature(function).parameters) - {"self", "kwargs"}


@pytest.mark.parametrize("verb", OPERATORS)
def test_an_operator_takes_the_options_of_its_verb(verb: Verb) -> None:
    taken = arguments_of(OPERATORS[verb].__init__) | arguments_of(PgCloneBaseOperator.__init__)
    assert taken == options_of(verb) | {"config"}


@pytest.mark.parametrize("verb", OPERATORS)
def test_every_argument_of_an_operator_is_a_template_field(verb: Verb) -> None:
    assert set(OPERATORS[verb].template_fields) == options_of(verb) | {"config"}


def test_all_operators_are_exported() -> None:
    exported = {getattr(operators, name) for name in operators.__all__}
    of_verbs = set(OPERATORS.values())
    made = {one for one in PgCloneBaseOperator.__subclasses__() if is_in_operators(one)}
    assert of_verbs == made
    assert exported == of_verbs | {operators.PgClonePublishCatalogOperator}


def is_in_operators(operator: type) -> bool:
    return operator.__module__.startswith(f"{operators.__name__}.")


def arguments_of_method(verb: Verb) -> set[str]:
    """Return the arguments of the hook's method, and those of the TypedDict that it unpacks."""
    parameters = dict(inspect.signature(getattr(PgCloneHook, verb)).parameters)
    names = set(parameters) - {"self", "options"}
    (unpacked,) = get_args(parameters["options"].annotation) if "options" in parameters else (None,)
    return names if unpacked is None else names | set(get_type_hints(unpacked))


# Arguments of the hook that no configuration could give.
NOT_OPTIONS = {"config", "progress_callback", "progress_seconds"}
# Arguments that an operator fills in for itself.
WHO_CALLS = {"maker", "run", "made_by"}


@pytest.mark.parametrize("verb", VERBS)
def test_the_hook_takes_the_options_of_a_verb(verb: Verb) -> None:
    of_hook = arguments_of(PgCloneHook.__init__) - NOT_OPTIONS
    of_verb = arguments_of_method(verb)
    of_verb -= WHO_CALLS
    assert not of_hook & of_verb
    assert of_hook == HOOK_ARGUMENTS
    assert of_verb == options_of(verb) - of_hook
    assert METHOD_ARGUMENTS[verb] == of_verb - set(SUBJECTS[verb])


@pytest.mark.parametrize("verb", OPERATORS)
def test_the_subjects_of_an_operator_are_those_of_its_verb(verb: Verb) -> None:
    assert OPERATORS[verb].verb == verb
    assert tuple(OPERATORS[verb].subjects) == SUBJECTS[verb]


def test_the_hook_takes_only_options_that_some_verb_has() -> None:
    of_hook = arguments_of(PgCloneHook.__init__) - NOT_OPTIONS
    assert of_hook <= {option.name for option in OPTIONS}


# An operator warns of these when it is made.
DEPRECATED = {option.name for option in OPTIONS if option.instead}


@pytest.mark.parametrize("verb", OPERATORS)
def test_an_operator_keeps_its_arguments_as_they_are_given(verb: Verb) -> None:
    names = (options_of(verb) | {"config"}) - DEPRECATED
    given = {name: f"{{{{ {name} }}}}" for name in names}
    operator = OPERATORS[verb](task_id="task", **given)
    assert {name: getattr(operator, name) for name in given} == given
    assert all(
        getattr(operator, name) is None for name in set(operator.template_fields) - given.keys()
    )


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"policy": "clasified"}, "policy 'clasified' is neither classified nor suspects"),
        ({"compression_level": 99}, "compression_level 99 is more than 19"),
        ({"jobs": 0}, "jobs 0 is not a whole number of at least 1"),
        ({"exclude": [1]}, r"exclude \[1\] is not a list of names"),
        ({"checksums": "perhaps"}, "checksums 'perhaps' is neither true nor false"),
        ({"mask_key": 17}, "mask_key is not a text"),
    ],
)
def test_a_value_that_no_run_could_use_fails_when_the_dag_is_parsed(
    options: dict[str, Any], problem: str
) -> None:
    with (
        DAG("wrong", schedule=None),
        TaskGroup("nightly"),
        pytest.raises(InvalidInputError, match=f"the task 'nightly.dump': {problem}"),
    ):
        operators.PgCloneDumpOperator(task_id="dump", **options)


def test_a_value_that_a_run_gives_is_not_read_when_the_dag_is_parsed() -> None:
    with DAG("later", schedule=None):
        given: Any = BaseOperator(task_id="given").output
        operators.PgCloneDumpOperator(
            task_id="dump",
            jobs="{{ params.jobs }}",
            policy="{% if x %}classified{% endif %}",
            exclude=["{{ one }}", given],
            database=given,
            masks="no/such/file.yaml",
        )


def test_the_types_of_the_package_are_for_its_users_too() -> None:
    """https://typing.python.org/en/latest/spec/distributing.html#packaging-type-information"""
    assert (resources.files(airflow_provider_pgclone) / "py.typed").is_file()


@pytest.mark.parametrize("verb", OPERATORS)
def test_default_args_reach_every_argument_of_an_operator(verb: Verb) -> None:
    names = (options_of(verb) | {"config"}) - DEPRECATED
    given = {name: f"{{{{ {name} }}}}" for name in names}
    with DAG("default_args", schedule=None, default_args={**given, "retries": 7}):
        operator = OPERATORS[verb](task_id="task")
    assert {name: getattr(operator, name) for name in given} == given
    assert operator.retries == 7


@pytest.mark.parametrize("verb", OPERATORS)
def test_a_mapped_operator_has_the_same_fields(verb: Verb) -> None:
    names = sorted((options_of(verb) | {"config"}) - DEPRECATED)
    mapped_name, shared = names[0], {name: f"{{{{ {name} }}}}" for name in names[1:]}
    with DAG("mapped", schedule=None):
        partial = OPERATORS[verb].partial(task_id="task", **shared)
        mapped = partial.expand(**{mapped_name: ["{{ first }}", "{{ second }}"]})
    assert tuple(mapped.template_fields) == tuple(OPERATORS[verb].template_fields)
    unmapped = mapped.unmap({mapped_name: "{{ second }}"})
    assert {name: getattr(unmapped, name) for name in names} == {
        mapped_name: "{{ second }}",
        **shared,
    }


def test_a_users_operator_keeps_the_fields_of_ours() -> None:
    class NightlyDumpOperator(operators.PgCloneDumpOperator):
        def __init__(self, *, team: str, **kwargs: Any) -> None:
            super().__init__(instance=team, **kwargs)

    operator = NightlyDumpOperator(task_id="task", team="sales", jobs=2)
    assert tuple(operator.template_fields) == operators.PgCloneDumpOperator.template_fields
    assert (operator.instance, operator.jobs) == ("sales", 2)


@pytest.mark.parametrize("name", sorted(DEPRECATED))
def test_a_deprecated_argument_of_an_operator_warns_where_it_is_given(name: str) -> None:
    with pytest.warns(
        AirflowProviderDeprecationWarning, match=f"{name} is deprecated; use what="
    ) as told:
        operator = operators.PgCloneListOperator(task_id="task", **{name: True})  # type: ignore[arg-type]
    assert [warning.filename for warning in told] == [__file__]
    assert getattr(operator, name) is True
