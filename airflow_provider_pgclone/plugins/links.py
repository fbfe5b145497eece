"""Links to the page of a dump: for tasks, and for the texts that tasks show."""

from typing import Any
from urllib.parse import urlencode

from airflow.providers.common.compat.sdk import BaseOperatorLink, XCom, conf

from airflow_provider_pgclone.plugins.dumps_page import PAGE_ROUTE

_SUFFIX = ".dump"


def dump_page_url(key: str, *, store: str | None = None) -> str:
    """Return the address of the page of a dump.

    It is absolute if ``[api] base_url`` is set; otherwise it is relative to Airflow's own.

    :param store: the name of its store; by default the page looks for the first that has the dump.
    """
    query = urlencode({**({"store": store} if store else {}), "dump": key})
    base = (conf.get("api", "base_url", fallback=None) or "").rstrip("/")
    return f"{base}/plugin/{PAGE_ROUTE}?{query}" if base else f"plugin/{PAGE_ROUTE}?{query}"


class DumpLink(BaseOperatorLink):
    """The button ``Dump`` of a task: the page of the dump that it made, restored or swapped in."""

    name = "Dump"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the address; empty, so that there is no button, for what is not a dump."""
        key = XCom.get_value(ti_key=ti_key, key=operator.dump_key_xcom)
        return dump_page_url(key) if isinstance(key, str) and key.endswith(_SUFFIX) else ""
