"""A terminal on which nobody looks: progress bars are drawn, and cost what they cost."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

from typing_extensions import override


class _Unseen(io.TextIOBase):
    encoding = "utf-8"

    @override
    def isatty(self) -> bool:
        return True

    @override
    def write(self, text: str) -> int:
        return len(text)


@contextmanager
def unseen_terminal() -> Iterator[None]:
    """Within it, what is printed goes to a terminal that throws it away."""
    screen = _Unseen()
    with redirect_stdout(screen), redirect_stderr(screen):
        yield
