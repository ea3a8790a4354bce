"""Errors that a user of the package can mend."""


class UserError(Exception):
    """Reports a mistake or a missing thing the user can mend.

    The message says what is wrong and what to do; scripts print it as one line and exit with status 2.
    """


class DivergedError(UserError, ValueError):
    """Reports a model whose loss, bound or features are no numbers any more; other settings may mend it."""
