import subprocess
from collections.abc import Iterator

import pytest
from own_process import Start, start_code


@pytest.fixture
def start() -> Iterator[Start]:
    """Start code in a process of its own and wait for it to print `ready`; killed at the end."""
    processes: list[subprocess.Popen[str]] = []

    def run(code: str, *arguments: object) -> "subprocess.Popen[str]":
        process = start_code(code, *arguments)
        processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield run
    for process in processes:
        process.kill()
        process.communicate()
