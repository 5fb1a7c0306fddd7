"""Everything mattecli raises on purpose.

    MatteError            1   something failed that no narrower class names
    ├── UsageError        2   options that do not go together
    ├── InputError        3   an input or output that cannot be used: unreadable, wrong size, in the way, not writable
    ├── WeightsError      4   a checkpoint that is missing, damaged, of another network, or unsafe
    └── DeviceError       5   a device, package or memory that was asked for and is not there
        └── OutOfMemoryError  a device's memory ran out in the middle of a run

The number is the exit code of the command line. The message is one sentence that names the file, the fact and the
remedy; it is shown to users as it stands.
"""

from typing import ClassVar


class MatteError(Exception):
    """The root of all errors that mattecli raises on purpose."""

    exit_code: ClassVar[int] = 1


class UsageError(MatteError):
    """Options or arguments that contradict each other or make no sense."""

    exit_code: ClassVar[int] = 2


class InputError(MatteError):
    """An input or output that cannot be used as asked."""

    exit_code: ClassVar[int] = 3


class WeightsError(MatteError):
    """A checkpoint that is missing, damaged, not this network's, or unsafe to load."""

    exit_code: ClassVar[int] = 4


class DeviceError(MatteError):
    """A device, a package or an amount of memory that is not there."""

    exit_code: ClassVar[int] = 5


class OutOfMemoryError(DeviceError):
    """A device whose memory ran out in the middle of a run; a smaller tile may still fit."""
