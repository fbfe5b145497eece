"""A DAG whose run leaves mapped task instances, XComs and an asset event."""

from typing import Any

from airflow.sdk import Asset, dag, task


@dag(schedule=None, tags=["metadata"], doc_md="Größe: 10 µm")
def history() -> None:
    @task
    def numbers() -> list[int]:
        return [1, 2, 3]

    @task
    def square(number: int) -> dict[str, int]:
        return {"square": number * number}

    @task(outlets=[Asset("squares")])
    def publish(squares: Any) -> str:
        return f"{len(list(squares))} squares: ½ ✓"

    publish(square.expand(number=numbers()))


history_dag = history()
