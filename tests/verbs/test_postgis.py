"""A database with PostGIS and a topology comes back as stock programs bring it back."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from airflow_provider_pgclone.core.postgres.clients import tool_major
from example_dags.services import postgres_server
from tests.support.fixtures.databases import Server
from tests.support.fixtures.fingerprint import Fingerprint
from tests.support.fixtures.hooks import MakeHook
from tests.support.fixtures.stock_control import BY_STOCK, COPIED, RESTORED, Controlled, control
from tests.support.services.debian_postgis import (
    DebianPostgis,
    UnavailableError,
    debian_postgis,
)
from tests.support.services.postgres_versions import MATRIX, bin_dir_of

pytestmark = pytest.mark.skipif(not MATRIX, reason="downloads Debian's PostGIS: make test-matrix")

# The row of spatial_ref_sys is the only one that is not of the extension itself. A topology has a
# row in topology.topology, and each of its layers one in topology.layer, which refers to it.
SQL = """
CREATE EXTENSION postgis;
CREATE EXTENSION postgis_topology;
INSERT INTO spatial_ref_sys (srid, auth_name, auth_srid, srtext, proj4text)
    SELECT 990001, 'city', 1, srtext, proj4text FROM spatial_ref_sys WHERE srid = 28992;
CREATE TABLE parcels (id int PRIMARY KEY, outline geometry(Polygon, 28992) NOT NULL);
INSERT INTO parcels SELECT 20 * x + y,
    ST_MakeEnvelope(120000 + 50 * x, 480000 + 40 * y, 120050 + 50 * x, 480040 + 40 * y, 28992)
    FROM generate_series(0, 19) x, generate_series(0, 19) y;
CREATE INDEX ON parcels USING gist (outline);
CREATE INDEX ON parcels USING gist (ST_Transform(outline, 4326));
ALTER TABLE parcels ADD CHECK (ST_IsValid(outline));
CREATE VIEW areas AS SELECT id, ST_Area(outline) AS area FROM parcels;
CREATE MATERIALIZED VIEW city AS SELECT ST_Union(outline) AS outline FROM parcels;
CREATE TABLE places AS SELECT id, ST_Centroid(outline)::geometry(Point, 28992) AS at,
    ST_Transform(ST_Centroid(outline), 4326)::geography AS on_earth FROM parcels;
SELECT topology.CreateTopology('blocks', 28992);
SELECT topology.AddTopoGeometryColumn('blocks', 'public', 'parcels', 'area', 'POLYGON');
UPDATE parcels SET area = topology.toTopoGeom(outline, 'blocks', 1) WHERE id % 10 < 3;
SELECT topology.CreateTopology('streets', 28992);
SELECT topology.AddTopoGeometryColumn('streets', 'public', 'places', 'spot', 'POINT');
UPDATE places SET spot = topology.toTopoGeom(at, 'streets', 1) WHERE id % 10 = 0;
"""
# PostGIS 3.3 does not tell pg_dump of this sequence, and stock programs leave it where it starts.
UNTOLD_SEQUENCE = '"topology"."topology_id_seq"'
WORKS = """
SELECT (SELECT count(*) FROM parcels WHERE NOT ST_Equals(outline, area::geometry)),
    (SELECT count(*) FROM topology.ValidateTopology('blocks')),
    (SELECT count(*) FROM topology.ValidateTopology('streets')),
    (SELECT array_agg(name || '.' || feature_column ORDER BY name)
        FROM topology.topology t JOIN topology.layer l ON l.topology_id = t.id),
    (SELECT auth_name FROM spatial_ref_sys WHERE srid = 990001)
"""


@pytest.fixture(scope="module")
def postgis(open_tmp: Path) -> Iterator[Server]:
    """A server with PostGIS."""
    try:
        unpacked = debian_postgis()
    except UnavailableError as error:
        pytest.skip(str(error))
    # Where its user may enter.
    own = DebianPostgis(open_tmp / "with_postgis")
    shutil.copytree(unpacked.root, own.root, symlinks=True)
    folder = open_tmp / "postgis"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LD_LIBRARY_PATH", own.library_path)
        with postgres_server(folder, own.bin_dir) as server:
            yield Server(server)


@pytest.fixture(scope="module")
def mapped(postgis: Server, tmp_path_factory: pytest.TempPathFactory) -> Controlled:
    postgis.run("postgres", "CREATE DATABASE mapped")
    postgis.run("mapped", SQL)
    return control(postgis, "mapped", tmp_path_factory.mktemp("stock"))


@pytest.fixture
def make_mapped_hook(
    mapped: Controlled, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> MakeHook:
    return mapped.hooks_on_it(make_hook, monkeypatch, bin_dir_of(major_of(mapped)))


def major_of(mapped: Controlled) -> int:
    return tool_major(str(mapped.server.server.bin_dir / "psql"))


def without_untold_sequence(of: Fingerprint) -> Fingerprint:
    told = {name: value for name, value in of.sequences.items() if name != UNTOLD_SEQUENCE}
    return replace(of, sequences=told)


def test_stock_programs_lose_the_sequence_that_postgis_does_not_tell_of(
    mapped: Controlled,
) -> None:
    assert mapped.original.sequences[UNTOLD_SEQUENCE] == (2, True)
    assert mapped.by_stock.sequences[UNTOLD_SEQUENCE] == (1, False)
    assert without_untold_sequence(mapped.by_stock) == without_untold_sequence(mapped.original)
    assert mapped.original.tables['"topology"."layer"'][0] == 2
    assert mapped.server.rows(BY_STOCK, WORKS) == mapped.server.rows("mapped", WORKS)


@pytest.mark.parametrize("jobs", [1, 4])
def test_a_restored_dump_is_what_stock_programs_restore(
    jobs: int, mapped: Controlled, make_mapped_hook: MakeHook
) -> None:
    assert mapped.restored(make_mapped_hook, jobs) == mapped.by_stock
    assert mapped.server.rows(RESTORED, WORKS) == mapped.server.rows("mapped", WORKS)


@pytest.mark.parametrize("jobs", [1, 4])
def test_a_copy_by_stream_is_what_stock_programs_restore(
    jobs: int, mapped: Controlled, make_mapped_hook: MakeHook
) -> None:
    assert mapped.copied(make_mapped_hook, jobs) == mapped.by_stock
    assert mapped.server.rows(COPIED, WORKS) == mapped.server.rows("mapped", WORKS)


@pytest.mark.parametrize("way", ["file", "parallel"])
def test_stock_programs_restore_our_dump(
    way: str, mapped: Controlled, make_mapped_hook: MakeHook, local_storage: Path
) -> None:
    restored = mapped.restored_by_stock(make_mapped_hook, way, local_storage)
    assert restored == mapped.by_stock


@pytest.mark.parametrize("verb", ["restore", "copy"])
def test_the_programs_of_debian_do_the_same(
    verb: str, mapped: Controlled, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those above run pg_restore from elsewhere."""
    hooks = mapped.hooks_on_it(make_hook, monkeypatch)
    made = mapped.restored(hooks, 4) if verb == "restore" else mapped.copied(hooks, 4)
    assert made == mapped.by_stock
