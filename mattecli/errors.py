"""Everything mattecli raises on purpose.

    MatteError                something failed that no narrower class names
    ├── UsageError            an argument that cannot be meant, or two that contradict each other; a ValueError too
    ├── InputError            an input or output that cannot be used: unreadable, wrong size; a ValueError too
    ├── WeightsError          a checkpoint that is missing, damaged, unsafe, or another network's; a ValueError too
    └── DeviceError           a device, a package or memory that is missing; a RuntimeError too
        └── OutOfMemoryError  a device's memory ran out in the middle of a run

The message is one sentence or two: the fact, with the file's name, and the remedy. It is shown to users as it stands.
Parameters stand in backticks, `tile` or `tile=100`: the command line shows them as its own options.
"""


class MatteError(Exception):
    """The root of all errors that mattecli raises on purpose."""


class UsageError(MatteError, ValueError):
    """An argument that makes no sense, or arguments that contradict each other."""


class InputError(MatteError, ValueError):
    """An input or output that cannot be used as asked."""


class WeightsError(MatteError, ValueError):
    """A checkpoint that is missing, damaged, unsafe to load, or another network's."""


class DeviceError(MatteError, RuntimeError):
    """A device, a package or an amount of memory that is not there."""


class OutOfMemoryError(DeviceError):
    """A device whose memory ran out in the middle of a run; a smaller tile may still fit."""
