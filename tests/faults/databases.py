"""A database whose rows and schema are the same after every restore, so that they can be compared.

All its tables are logged: a crash of the server empties the others.
"""

SEVERAL_TABLES_SQL = """
CREATE TABLE events (
    id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED, text text
);
INSERT INTO events (id, text) SELECT n, md5(n::text) FROM generate_series(1, 9000) n;
CREATE INDEX ON events (text);
CREATE TABLE notes (event int REFERENCES events, note text);
INSERT INTO notes
    SELECT n, CASE n % 3 WHEN 0 THEN NULL ELSE repeat(md5(n::text), 9) END
    FROM generate_series(1, 9000) n;
CREATE TABLE wide (bytes bytea); ALTER TABLE wide ALTER bytes SET STORAGE EXTERNAL;
INSERT INTO wide
    SELECT convert_to(repeat(md5(n::text), 9000), 'utf8') FROM generate_series(1, 20) n;
CREATE TABLE days (day int, text text) PARTITION BY RANGE (day);
CREATE TABLE days_1 PARTITION OF days FOR VALUES FROM (0) TO (5);
CREATE TABLE days_2 PARTITION OF days FOR VALUES FROM (5) TO (10);
INSERT INTO days SELECT n % 10, md5(n::text) FROM generate_series(1, 9000) n;
CREATE TABLE parent (a int, b text); CREATE TABLE child () INHERITS (parent);
INSERT INTO parent SELECT n, md5(n::text) FROM generate_series(1, 5000) n;
INSERT INTO child SELECT n, md5(n::text) FROM generate_series(1, 5000) n;
CREATE TABLE small AS SELECT 1 AS a;
CREATE TABLE counting (id bigint GENERATED ALWAYS AS IDENTITY, n serial);
INSERT INTO counting SELECT FROM generate_series(1, 12);
CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM events;
SELECT lo_from_bytea(70001, 'large');
"""
