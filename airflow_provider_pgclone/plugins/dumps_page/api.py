"""The routes of the page: they only read. Changes are runs of DAGs, by Airflow's API.

Each route checks with Airflow that the user may read the DAG of the store or target, and answers
from its configuration alone: a request names a store, never a location or a connection.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated, Any, Literal, TypeVar

import anyio
import anyio.to_thread
from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, FastAPI, Header, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse

from airflow_provider_pgclone.core.errors import InvalidInputError, NotFoundError, PgCloneError
from airflow_provider_pgclone.core.repository import DumpKey
from airflow_provider_pgclone.core.visible import get_log
from airflow_provider_pgclone.plugins.dumps_page import access
from airflow_provider_pgclone.plugins.dumps_page.configuration import (
    Store,
    Target,
    read_configuration,
)
from airflow_provider_pgclone.plugins.dumps_page.listing import (
    MOST_POINTS,
    Filters,
    State,
    databases_of,
    page_of,
    series_of,
)
from airflow_provider_pgclone.plugins.dumps_page.plain import plain
from airflow_provider_pgclone.plugins.dumps_page.sources import (
    Listing,
    StoreSource,
    source_of,
    state_of,
)
from airflow_provider_pgclone.plugins.dumps_page.static_files import static_file

log = get_log(__name__)
Result = TypeVar("Result")
Name = Annotated[str, Query(max_length=200)]
Key = Annotated[str, Query(max_length=600)]
Choice = Literal["yes", "no"]
# Storage or a server that does not answer must not take the threads of the whole API server.
_AT_ONCE = 6
_MOST_ROWS = 200
_CHOICES: dict[str | None, bool | None] = {"yes": True, "no": False, None: None}

router = APIRouter(prefix="/api")


def page_app() -> FastAPI:
    """Return the application of the page."""
    app = FastAPI(title="pgclone dumps", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.limiter = anyio.CapacityLimiter(_AT_ONCE)
    app.include_router(router)
    app.add_api_route("/static/{name}", _static, methods=["GET"])
    app.add_exception_handler(PgCloneError, _problem)
    return app


def _static(name: str, if_none_match: Annotated[str | None, Header()] = None) -> Response:
    return static_file(name, if_none_match)


@router.get("/page")
async def page(request: Request, user: GetUserDep) -> Response:
    """Return the stores and targets that the user may see, and which DAGs they may run."""

    def answer() -> Any:
        found = read_configuration()
        return {
            "is_configured": bool(found.stores or found.targets),
            "stores": [
                {
                    "name": store.name,
                    "verify_dag": store.verify_dag,
                    "may_verify": access.may_run(request, user, store.verify_dag),
                    "is_published": store.read_from == "catalog",
                }
                for store in found.stores.values()
                if access.may_read(request, user, store)
            ],
            "targets": [
                {
                    "name": target.name,
                    "database": target.database,
                    "dag": target.dag,
                    "may_restore": access.may_run(request, user, target.dag),
                    "is_published": target.read_from == "catalog",
                }
                for target in found.targets.values()
                if access.may_read(request, user, target)
            ],
        }

    return await _answered(request, answer)


@router.get("/databases")
async def databases(
    request: Request, user: GetUserDep, store: Name, fresh: bool = False
) -> Response:
    """Return the databases of a store, with the newest dump of each."""

    def answer(source: StoreSource, listing: Listing) -> Any:
        found, others = databases_of(source, listing.dumps)
        return {"databases": [asdict(one) for one in found], "others": others}

    return await _of_store(request, user, store, answer, fresh=fresh)


@router.get("/dumps")
async def dumps(
    request: Request,
    user: GetUserDep,
    store: Name,
    text: Name = "",
    database: Name = "",
    state: State | None = None,
    masked: Choice | None = None,
    partial: Choice | None = None,
    after: Key | None = None,
    limit: Annotated[int, Query(ge=1, le=_MOST_ROWS)] = 25,
) -> Response:
    """Return a page of the dumps of a store, the newest first."""
    filters = Filters(text, database, state, _CHOICES[masked], _CHOICES[partial])
    last = DumpKey.parse(after) if after is not None else None
    return await _of_store(
        request,
        user,
        store,
        lambda source, listing: asdict(page_of(source, listing.dumps, filters, last, limit)),
    )


@router.get("/series")
async def series(
    request: Request,
    user: GetUserDep,
    store: Name,
    database: Name,
    newest: Annotated[int, Query(ge=1, le=MOST_POINTS)] = 60,
) -> Response:
    """Return sizes and durations of the newest dumps of a database, the oldest first."""

    def answer(source: StoreSource, listing: Listing) -> Any:
        return {
            "points": [
                {
                    "key": one.key,
                    "created_at": one.created_at,
                    "size_bytes": one.size_bytes,
                    "seconds": one.seconds,
                    "finding": one.finding,
                    "is_partial": bool(one.left_out),
                }
                for one in series_of(source, listing.dumps, database, newest)
            ]
        }

    return await _of_store(request, user, store, answer)


@router.get("/dump")
async def dump(request: Request, user: GetUserDep, store: Name, key: Key) -> Response:
    """Return what one dump of a store holds."""

    def answer(source: StoreSource, listing: Listing) -> Any:
        # Its storage may have dumps of other stores, which others may see.
        if all(one.key != key for one in listing.dumps):
            listing = source.listing(fresh=True)
        if all(one.key != key for one in listing.dumps):
            raise HTTPException(404, f"the store {store!r} has no dump {key!r}")
        return source.details(key)

    return await _of_store(request, user, store, answer)


@router.get("/target")
async def target(request: Request, user: GetUserDep, target: Name, fresh: bool = False) -> Response:
    """Return what a target holds now, and what it could be turned back to."""

    def answer() -> Any:
        entry = read_configuration().target(target)
        access.check_readable(request, user, entry)
        with _hiding_why(entry):
            state = state_of(entry, fresh=fresh)
        return {"as_of": state.as_of, **state.current}

    return await _answered(request, answer)


async def _of_store(
    request: Request,
    user: Any,
    name: str,
    answer: Callable[[StoreSource, Listing], Any],
    *,
    fresh: bool = False,
) -> Response:
    """Answer from a store, with the time of its listing."""

    def answer_of_store() -> Any:
        entry = read_configuration().store(name)
        access.check_readable(request, user, entry)
        with _hiding_why(entry):
            source = source_of(entry)
            listing = source.listing(fresh=fresh)
            found = answer(source, listing)
        return {"as_of": listing.as_of, "left_off": listing.left_off, **found}

    return await _answered(request, answer_of_store)


async def _answered(request: Request, answer: Callable[[], Any]) -> Response:
    limiter = request.app.state.limiter
    found = await anyio.to_thread.run_sync(lambda: plain(answer()), limiter=limiter)
    # What a dump holds is not for the cache of a shared proxy.
    return JSONResponse(found, headers={"Cache-Control": "private, no-store"})


@contextmanager
def _hiding_why(entry: Store | Target) -> Iterator[None]:
    """Log why a store or target cannot be read, and tell the user only that it cannot.

    What storage and servers say names hosts, users and paths, which readers of the DAG need
    not know.
    """
    try:
        yield
    except PgCloneError as error:
        what = f"the {type(entry).__name__.lower()} {entry.name!r}"
        if entry.read_from == "catalog":  # these errors name Variables alone
            raise HTTPException(404, str(error)) from error
        log.warning("the page Dumps cannot read %s: %s", what, error, exc_info=True)
        raise HTTPException(
            502, f"{what} cannot be read. The log of the API server says why."
        ) from error


def _problem(request: Request, error: Exception) -> Response:
    """Answer what is wrong with the request or with the configuration of the page."""
    status = 404 if isinstance(error, NotFoundError) else 500
    status = 422 if isinstance(error, InvalidInputError) else status
    return JSONResponse({"detail": str(error)}, status_code=status)
