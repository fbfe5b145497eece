"""Dumps, restores and copies on a worker whose environment names a service of libpq."""

import pytest

from tests.support.fixtures.databases import Server
from tests.support.fixtures.hooks import MakeHook
from tests.support.fixtures.service import UseService


def test_the_connection_says_where_and_the_service_elsewhere(
    server: Server, shop: str, make_hook: MakeHook, use_service: UseService
) -> None:
    use_service(host="192.0.2.1", port=1, user="nobody", password="wrong", dbname="elsewhere")
    make_hook("restored").restore(make_hook(shop).dump())
    make_hook(shop).copy(to=":copied", method="stream")
    for name in ("restored", "copied"):
        assert server.value(name, "SELECT count(*) FROM orders") == 2000


def test_the_connection_has_the_host_alone(
    server: Server,
    shop: str,
    make_hook: MakeHook,
    use_service: UseService,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    of = server.server
    use_service(host="192.0.2.1", port=of.port, user=of.user, password=of.password)
    monkeypatch.setenv("AIRFLOW_CONN_HOST_ALONE", f"postgresql://{of.host}/")
    dumped = make_hook(shop, postgres_conn_id="host_alone").dump()
    make_hook("restored", postgres_conn_id="host_alone").restore(dumped)
    assert server.value("restored", "SELECT count(*) FROM orders") == 2000
    assert of.password not in caplog.text
