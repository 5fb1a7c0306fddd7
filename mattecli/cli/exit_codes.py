"""Exit codes: a number for each kind of error."""

from mattecli.errors import DeviceError, InputError, MatteError, UsageError, WeightsError

# The exit code of an error is that of the first class here that it belongs to.
EXIT_CODES = {UsageError: 2, InputError: 3, WeightsError: 4, DeviceError: 5, MatteError: 1}


def exit_code(error: MatteError) -> int:
    """The exit code that tells scripts what kind of error ended the command."""
    return next(code for kind, code in EXIT_CODES.items() if isinstance(error, kind))
