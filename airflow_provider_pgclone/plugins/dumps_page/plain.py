"""What a dump says of itself, made safe to send.

Whoever may write to the storage may have written a dump whose manifest says anything. The page
shows texts as texts; here they are made such that they can be encoded, and of a bounded length.
"""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

MOST_CHARS = 4000
MOST_ITEMS = 20_000
_MOST_DEPTH = 8
# JavaScript counts exactly up to here.
_MOST_EXACT = 2**53


def plain(value: object, depth: int = 0) -> Any:
    """Return a value as JSON that any client can read."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) < _MOST_EXACT else float(min(value, 10**300))
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime):
        return value.isoformat()
    if depth < _MOST_DEPTH and isinstance(value, Mapping):
        items = list(value.items())[:MOST_ITEMS]
        return {_text(name): plain(one, depth + 1) for name, one in items}
    if depth < _MOST_DEPTH and isinstance(value, list | tuple):
        return [plain(one, depth + 1) for one in value[:MOST_ITEMS]]
    return _text(value)


def _text(value: object) -> str:
    text = str(value)
    cut = text if len(text) <= MOST_CHARS else f"{text[:MOST_CHARS]}…"
    return cut.encode("utf-8", "backslashreplace").decode()
