"""Breaks things on purpose: a restore must not lie, and a swap must not lose.

Each test breaks real servers, programs or processes, and counts the rows of the target afterwards.
What other folders have of this already is not repeated here:

- ``test_killed_tasks.py``: Airflow tasks that are ended by SIGTERM, a time-out or SIGKILL;
- ``tests/test_dump.py``, ``tests/test_parallel_dump.py``: pg_dump and psql killed in a dump;
- ``tests/test_parallel_restore.py``: pg_restore and its workers killed, storage that stalls;
- ``tests/test_stream_copy.py``: psql and pg_restore killed in a copy, and its cancel;
- ``tests/test_restore.py``: what a dead attempt has left, and users with too few rights;
- ``tests/test_swap_storm.py``: clients that reconnect all the time, straight to the server;
- ``tests/test_copy_safety.py``: an ALTER TABLE that waits for the session of a dump or a copy.
"""
