"""Breaks things on purpose: a restore must not lie, and a swap must not lose.

Each test breaks real servers, programs or processes, and counts the rows of the target afterwards.
What other folders have of this already is not repeated here:

- ``test_killed_tasks.py``: Airflow tasks that are ended by SIGTERM, a time-out or SIGKILL;
- ``tests/verbs/test_dump.py``, ``test_parallel_dump.py``: pg_dump and psql killed in a dump;
- ``tests/verbs/test_parallel_restore.py``: a pg_restore killed beside others, storage that stalls;
- ``tests/verbs/test_stream_copy.py``: psql and pg_restore killed in a copy, and its cancel;
- ``tests/verbs/test_restore.py``: what a dead attempt has left, and users with too few rights;
- ``tests/verbs/test_swap_storm.py``: clients that reconnect all the time to the server itself;
- ``tests/verbs/test_copy_safety.py``: an ALTER TABLE that waits for a dump or a copy.
"""
