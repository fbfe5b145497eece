"""The page Dumps of Airflow's UI: what stores hold, what targets hold, and what can be restored.

Every process of Airflow imports this door, so that it imports neither FastAPI nor a driver of
PostgreSQL. The page itself is built when the API server gets its first request for it.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from airflow.providers.common.compat.sdk import conf

URL_PREFIX = "/pgclone"
# What the address of the page ends with: Airflow puts its pages of plugins below /plugin.
PAGE_ROUTE = "dumps"
_NAME = "Dumps"
_Message = MutableMapping[str, Any]


async def serve(
    scope: _Message,
    receive: Callable[[], Awaitable[_Message]],
    send: Callable[[_Message], Awaitable[None]],
) -> None:
    """Answer a request, as an ASGI application."""
    page = await asyncio.to_thread(_page)
    await page(scope, receive, send)


def fastapi_apps() -> list[dict[str, Any]]:
    """Return the application as Airflow's plugins name it."""
    return [{"app": serve, "url_prefix": URL_PREFIX, "name": "pgclone dumps"}]


def react_apps() -> list[dict[str, Any]]:
    """Return the entry of the menu, and the module that draws the page."""
    # Airflow 3.1 and 3.2 take a path without a leading slash as one beside their own modules.
    base = urlsplit(conf.get("api", "base_url", fallback=None) or "").path.rstrip("/")
    return [
        {
            "name": _NAME,
            "bundle_url": f"{base}{URL_PREFIX}/static/dumps.js",
            "icon": f"{base}{URL_PREFIX}/static/icon.svg",
            "icon_dark_mode": f"{base}{URL_PREFIX}/static/icon-dark.svg",
            "destination": "nav",
            "category": "browse",
            "url_route": PAGE_ROUTE,
        }
    ]


def _page() -> Any:
    from airflow_provider_pgclone.plugins.dumps_page.api import page_app

    return page_app()
