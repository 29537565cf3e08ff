"""The one kind of error that is the user's to mend."""


class UserError(Exception):
    """One line that tells the user what to change: key or file, rule, value; then the fix."""
