"""Errors that only requests to the server can have."""

from mattecli.errors import InputError, MatteError, UsageError


class MissingError(InputError):
    """A photo, proposal or matte that this server does not know."""


class ReadOnlyError(UsageError):
    """A photo that another tab or another process paints."""


class OrderError(UsageError):
    """An operation before which others are missing; `expected` is the number of the first of them."""

    def __init__(self, message: str, *, expected: int) -> None:
        super().__init__(message)
        self.expected = expected


class StaleError(UsageError):
    """Something that must be made anew first."""


class GoneError(UsageError):
    """A request whose client does not wait for the answer any more."""


class DiskError(MatteError):
    """The server's disk is full; the request is all right."""


class BusyError(UsageError):
    """More is asked for at once than this server takes on; `after` is when to ask again, in seconds."""

    def __init__(self, message: str, *, after: int) -> None:
        super().__init__(message)
        self.after = after
