"""The one kind of error that is the user's to mend."""


def on_one_line(text: str) -> str:
    """Text as it is, or as Python writes it where it would break a line or move a cursor."""
    return text if text.isprintable() and text.strip() == text != "" else repr(text)


class UserError(Exception):
    """One line that tells the user what to change: key or file, rule, value; then the fix."""
