"""What a log line is about: the job, shot, attempt and purchase that somebody works on, in every line written meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar

__all__ = ["PLAIN", "Binder", "Plain", "about", "offer", "warn_plainly"]

#: Binds fields to every line that somebody else's logging writes, until it is left.
Binder = Callable[..., AbstractContextManager[object]]
PLAIN = "%(asctime)s %(levelname)s %(name)s: %(message)s"

_bound: ContextVar[Mapping[str, str | int]] = ContextVar("aiprod_log_fields")
_binder: Binder | None = None


def offer(binder: Binder | None) -> None:
    """Bind the same fields in logging that has fields of its own, such as Airflow's, from now on."""
    global _binder
    _binder = binder


@contextmanager
def about(**fields: str | int) -> Iterator[None]:
    """Name in every log line of this thread until the end what it is about, besides what is named already.

    The fields are `job_id`, `shot`, `attempt`, `backend` and `purchase_id`; never what a customer wrote, and never a key.
    """
    token = _bound.set({**_bound.get({}), **fields})
    try:
        with _binder(**fields) if _binder is not None else nullcontext():
            yield
    finally:
        _bound.reset(token)


class Plain(logging.Formatter):
    """Lines of text that end with what they are about: `… job=job-1 shot=2 attempt=1`."""

    def __init__(self, fmt: str = PLAIN) -> None:
        super().__init__(fmt)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the base class calls it so
        said = [f"{name.removesuffix('_id')}={value}" for name, value in _bound.get({}).items()]
        return " ".join([super().formatMessage(record), *said])


def warn_plainly() -> None:
    """Let the library's warnings go to standard error as `Plain` lines, in a program that has no logging of its own."""
    ours = logging.getLogger("aiprod")
    if not ours.hasHandlers():
        handler = logging.StreamHandler()
        handler.setLevel(logging.WARNING)
        handler.setFormatter(Plain("%(message)s"))
        ours.addHandler(handler)
