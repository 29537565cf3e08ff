"""Two runs side by side: how they were set, what that makes of the network, what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from convscope.config import brief, dotted
from convscope.geometry import convs_from
from convscope.geometry.label import padding_token, pair_token
from convscope.runs.identity import EXCLUDED
from convscope.runs.record import RunRecord
from convscope.tables import map_text, window_text

Part = Literal["config", "geometry", "result", "environment"]
Plain = str | int | float | bool | None


@dataclass(frozen=True)
class DiffRow:
    """One value of both runs; None where a run has none."""

    part: Part
    key: str
    first: Plain
    second: Plain

    @property
    def differs(self) -> bool:
        return self.first != self.second


def diff(first: RunRecord, second: RunRecord, everything: bool = False) -> list[DiffRow]:
    """What differs between two runs, in the order config, geometry, result, environment.

    Left out are config keys that cannot change a result, and times of day.

    Args:
        everything: also what is equal.
    """
    rows: list[DiffRow] = []
    for part, values_of in _PARTS.items():
        ours, theirs = values_of(first), values_of(second)
        keys = [*ours, *(key for key in theirs if key not in ours)]
        rows += [DiffRow(part, key, ours.get(key), theirs.get(key)) for key in keys]
    return [row for row in rows if everything or row.differs]


def _config(record: RunRecord) -> dict[str, Plain]:
    plain = {
        key: _plain(value)
        for key, value in dotted(record.config).items()
        if key not in EXCLUDED and not key.startswith("conv.")
    }
    return _conv(record.config["conv"]) | plain


def _conv(conv: Mapping[str, Any]) -> dict[str, Plain]:
    """As one would type it: one value where all layers share it, else a list."""
    if "same" in conv["padding"]:
        # With a stride above 1, which PyTorch refuses: what was typed has no pixels.
        return {f"conv.{key}": _plain(value) for key, value in conv.items()}
    convs = convs_from(conv)
    tokens = {
        "kernel_size": [pair_token(one.kernel_size) for one in convs],
        "stride": [pair_token(one.stride) for one in convs],
        "padding": [padding_token(one) for one in convs],
    }
    return {
        f"conv.{key}": layers[0] if len(set(layers)) == 1 else f"[{','.join(layers)}]"
        for key, layers in tokens.items()
    }


def _geometry(record: RunRecord) -> dict[str, Plain]:
    values: dict[str, Plain] = {
        "variant": record.variant,
        "final_map": map_text(record.geometry),
        "params": record.params,
        "macs": record.macs,
    }
    for layer in record.geometry:
        values |= {f"{layer['name']} {key}": value for key, value in _layer(layer)}
    return values


def _layer(layer: Mapping[str, Any]) -> Iterator[tuple[str, Plain]]:
    yield "window", window_text(layer["kernel_size"], layer["stride"], layer["padding"])
    yield "output", "x".join(map(str, layer["out_shape"]))
    yield "receptive_field", pair_token(layer["receptive_field"])
    yield "params", layer["params"]
    yield "macs", layer["macs"]


def _result(record: RunRecord) -> dict[str, Plain]:
    known_before = ("params", "macs", "final_map")
    measured = {key: value for key, value in record.metrics.items() if key not in known_before}
    return {
        "status": record.status,
        "reason": record.reason,
        **measured,
        "duration_s": record.duration_s,
    }


def _environment(record: RunRecord) -> dict[str, Plain]:
    values = {key: _plain(value) for key, value in dotted(record.environment).items()}
    return values | {"command": record.command}


_PARTS: dict[Part, Callable[[RunRecord], dict[str, Plain]]] = {
    "config": _config,
    "geometry": _geometry,
    "result": _result,
    "environment": _environment,
}


def _plain(value: Any) -> Plain:
    return brief(value) if isinstance(value, list) else value
