"""Named pipes: nobody waits for ever for a reader that does not come."""

import threading
from pathlib import Path

import pytest

from airflow_provider_pgclone.core.postgres.pipes import Pipes, ReaderGoneError


@pytest.fixture
def pipes(tmp_path: Path) -> Pipes:
    made = Pipes(tmp_path)
    made.make("data")
    return made


def write(pipes: Pipes, data: bytes, raised: list[BaseException]) -> None:
    try:
        with pipes.writing("data") as put:
            put(data)
    except ReaderGoneError as error:
        raised.append(error)


def test_what_is_written_is_read(pipes: Pipes) -> None:
    raised: list[BaseException] = []
    data = bytes(range(256)) * 20_000
    thread = threading.Thread(target=write, args=(pipes, data, raised))
    thread.start()
    assert (pipes.directory / "data").read_bytes() == data
    thread.join()
    assert not raised


def test_who_waits_for_a_reader_is_let_go(pipes: Pipes) -> None:
    raised: list[BaseException] = []
    thread = threading.Thread(target=write, args=(pipes, b"some", raised))
    thread.start()
    pipes.end(thread.is_alive)
    assert not thread.is_alive()
    assert raised, "what nobody has read counts as written"


def test_a_reader_that_goes_away_is_noticed(pipes: Pipes) -> None:
    raised: list[BaseException] = []
    thread = threading.Thread(target=write, args=(pipes, bytes(9_000_000), raised))
    thread.start()
    with (pipes.directory / "data").open("rb") as file:
        file.read(10)
    thread.join()
    assert raised


def test_nothing_is_opened_after_the_end(pipes: Pipes) -> None:
    pipes.end(lambda: False)
    with pytest.raises(ReaderGoneError), pipes.writing("data"):
        pass
