"""The error for mistakes that the user can correct, and the exit code of interrupted commands."""

import signal

_LONGEST_LINE = 600


def on_one_line(text: str) -> str:
    """Return the text unchanged, or its `repr` where it would break a line or move a cursor."""
    return text if text.isprintable() and text.strip() == text != "" else repr(text)


class UserError(Exception):
    """An error that the user can correct: its message names key or file, rule, value, then the fix.

    The message is one line; a second one may explain the fix.
    """


def shorten_lines(message: str) -> str:
    """Return a message for a terminal: of lines above 600 characters, both ends."""
    return "\n".join(map(_shortened, message.split("\n")))


def _shortened(line: str) -> str:
    if len(line) <= _LONGEST_LINE:
        return line
    return f"{line[: _LONGEST_LINE // 2]} … {line[-_LONGEST_LINE // 2 :]}"


def interrupted_code(stop: KeyboardInterrupt) -> int:
    """Return the exit code after a signal: 128 + its number.

    Args:
        stop: raised by `cli.entry` with the signal's number; without one it is Ctrl-C.
    """
    return 128 + (stop.args[0] if stop.args else signal.SIGINT)
