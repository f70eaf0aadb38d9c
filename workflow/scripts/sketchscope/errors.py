"""The one exception that means: the user can fix this."""


class InputError(ValueError):
    """Bad input: a file, a key or a value that the user can put right.

    The message is one sentence that names the file or key, what was found and what is allowed.
    """
