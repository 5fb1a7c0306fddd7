"""Fresh interpreters, for what a test's own process cannot show: what is loaded, printed by others, or killed."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any


def run_fresh(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `matte ARGUMENTS…` in a process of its own, with these variables added to its environment."""
    command = [sys.executable, "-m", "mattecli", *map(str, arguments)]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)


def start_fresh(*arguments: object, **options: Any) -> subprocess.Popen[bytes]:
    """Start `matte ARGUMENTS…` in a process of its own; `options` are Popen's."""
    return subprocess.Popen([sys.executable, "-m", "mattecli", *map(str, arguments)], **options)


def modules_after(*arguments: object) -> set[str]:
    """The top-level modules that `matte ARGUMENTS…` has loaded when it ends."""
    code = (
        "import atexit, sys\n"
        "atexit.register(lambda: print('\\n' + ' '.join(sys.modules)))\n"
        "from mattecli.cli import main\n"
        "sys.argv = ['matte', *sys.argv[1:]]\n"
        "main()\n"
    )
    command = [sys.executable, "-c", code, *map(str, arguments)]
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout
    return {name.partition(".")[0] for name in output.splitlines()[-1].split()}
