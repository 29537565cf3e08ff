"""The one kind of error that is the user's to mend, and the exit code of an interrupted command."""

import signal

_LONGEST_LINE = 600


def on_one_line(text: str) -> str:
    """Text as it is, or as Python writes it where it would break a line or move a cursor."""
    return text if text.isprintable() and text.strip() == text != "" else repr(text)


class UserError(Exception):
    """One line that tells the user what to change: key or file, rule, value; then the fix."""


def in_short(message: str) -> str:
    """A message for a terminal: of a line with thousands of characters typed, both ends."""
    return "\n".join(map(_shortened, message.split("\n")))


def _shortened(line: str) -> str:
    if len(line) <= _LONGEST_LINE:
        return line
    return f"{line[: _LONGEST_LINE // 2]} … {line[-_LONGEST_LINE // 2 :]}"


def interrupted_code(stop: KeyboardInterrupt) -> int:
    """The exit code after a signal, which `entry` raises with its number; Ctrl-C's by default."""
    return 128 + (stop.args[0] if stop.args else signal.SIGINT)
