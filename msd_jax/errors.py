"""The one exception that stands for a user's mistake."""


class InputError(ValueError):
    """Something given from outside cannot be used.

    The message is one line that says what is wrong and how to mend it; the entry points print it
    and exit with code 2. Anything else that is raised is a bug of ours.
    """
