"""A command called in this process."""

import sys
from collections.abc import Callable
from importlib import import_module

import pytest

Called = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Called:
    """`call("compare", "STUDY", "--runs")`: exit code, standard output and standard error."""

    def run(command: str, *arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [f"{command}.py", *arguments])
        code = import_module(f"convscope.cli.{command}").main()
        output = capsys.readouterr()
        return code, output.out, output.err

    return run
