"""The files that the browser loads.

They are public, as those of Airflow's own UI are: every installation has the same ones, and they
hold nothing of this one.
"""

from functools import cache
from hashlib import sha256
from importlib import resources

from fastapi import Response

_TYPES = {"js": "text/javascript; charset=utf-8", "css": "text/css", "svg": "image/svg+xml"}


@cache
def _files() -> dict[str, tuple[bytes, str]]:
    """Return the content and the hash of each file by its name; no other file is ever read."""
    folder = resources.files(__package__) / "static"
    contents = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
    return {name: (data, f'"{sha256(data).hexdigest()}"') for name, data in contents.items()}


def static_file(name: str, known_tag: str | None) -> Response:
    """Return a file, or that the browser has it already."""
    found = _files().get(name)
    if found is None:
        return Response("there is no such file", status_code=404, media_type="text/plain")
    data, tag = found
    # After an update of the package the browser must not go on with the old module.
    headers = {"ETag": tag, "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
    if known_tag == tag:
        return Response(status_code=304, headers=headers)
    return Response(data, media_type=_TYPES[name.rpartition(".")[2]], headers=headers)
