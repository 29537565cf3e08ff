"""A search as its command does it, in an empty folder."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from convscope.runs.record import RunRecord
from convscope.streams import log_to_terminal

from .planted import FIXED, KEYS, Planted


@dataclass
class Searched:
    records: list[RunRecord]
    told: list[str]
    out: str


@pytest.fixture
def search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Searched]:
    """`search(executor, "trials=5", keys=KEYS)` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    # A second each; test_search_command.py looks for one.
    monkeypatch.setattr("convscope.sweep.search.results.write_reports", lambda *_: None)

    def do(
        executor: Planted, *overrides: str, keys: Mapping[str, tuple[str, ...]] = KEYS
    ) -> Searched:
        from convscope.sweep.search import command

        told: list[str] = []
        capfd.readouterr()
        with log_to_terminal(told.append):
            records = command.search([*FIXED, *overrides], keys, executor, "typed")
        return Searched(records, told, capfd.readouterr().out)

    return do
