"""What an option is, and whose."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

Verb = Literal[
    "dump",
    "ls",
    "restore",
    "swap",
    "copy",
    "drop_temp",
    "prune",
    "test_connection",
    "verify",
    "propose_masks",
]
Guard = Literal["allow_dump", "allow_restore", "allow_copy", "allow_prune"]
VERBS: tuple[Verb, ...] = get_args(Verb)


@dataclass(frozen=True)
class Option:
    """An option of one or more verbs.

    :param parse: reads a value of any source; raises ValueError with the reason.
    :param default: the value where no source gives one; a callable is asked each time.
    :param help: for the documentation, one sentence.
    :param verbs: whose option it is.
    :param default_help: what the documentation shows as the default.
    :param is_content: whether it changes what a dump contains.
    :param is_secret: whether no message may show its value.
    """

    name: str
    parse: Callable[[Any], Any]
    default: Any
    help: str
    verbs: tuple[Verb, ...]
    default_help: str = ""
    is_content: bool = False
    is_secret: bool = False

    @property
    def shown_default(self) -> str:
        return self.default_help or str(self.default)
