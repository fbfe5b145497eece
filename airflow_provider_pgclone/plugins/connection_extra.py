"""Let connections carry our options in their extra without breaking other users of them.

PostgresHook hands every key of the extra that it does not know to libpq, which refuses ``pgclone``.
So each process of Airflow that loads plugins, tasks included, gets the key added to those that
PostgresHook ignores: when PostgresHook is imported, since importing it here would load psycopg into
every process. Options in the section of Airflow's config do not need this.
"""

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from airflow.plugins_manager import AirflowPlugin

from airflow_provider_pgclone.plugins import dumps_page
from airflow_provider_pgclone.settings import EXTRA_KEY

POSTGRES_HOOK_MODULE = "airflow.providers.postgres.hooks.postgres"


class _PostgresHookFinder(importlib.abc.MetaPathFinder):
    """Finds the module of PostgresHook as the others do, and adds a step after it is loaded.

    It stays, since whoever only looks for the module, does not import it.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != POSTGRES_HOOK_MODULE:
            return None
        others = (finder for finder in tuple(sys.meta_path) if finder is not self)
        found = (finder.find_spec(fullname, path, target) for finder in others)
        spec = next((spec for spec in found if spec is not None), None)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                load(module)
                _ignore_our_key(module)

            loader: Any = spec.loader
            loader.exec_module = exec_module
        return spec


def _ignore_our_key(module: ModuleType) -> None:
    module.PostgresHook.ignored_extra_options |= {EXTRA_KEY}


def install() -> None:
    """Make PostgresHook ignore our key, now or when it is imported."""
    module = sys.modules.get(POSTGRES_HOOK_MODULE)
    if module is not None:
        _ignore_our_key(module)
    elif not any(isinstance(finder, _PostgresHookFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _PostgresHookFinder())


class PgClonePlugin(AirflowPlugin):
    """Found by the entry point ``airflow.plugins``."""

    name = "pgclone"
    fastapi_apps = dumps_page.fastapi_apps()
    react_apps = dumps_page.react_apps()

    @classmethod
    def on_load(cls, *args: Any, **kwargs: Any) -> None:
        install()
