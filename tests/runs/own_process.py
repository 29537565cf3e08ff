"""Python code in a process of its own, to be killed."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import convscope

Start = Callable[..., "subprocess.Popen[str]"]

_PATHS = [Path(convscope.__file__).parents[1], Path(__file__).parent]


def start_code(code: str, *arguments: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, _PATHS))},
    )
