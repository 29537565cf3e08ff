"""Searches whose runs are not trained: a formula tells what came of each."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from convscope.config.schema import TrainerConfig
from convscope.runs.record import RunRecord, utc_now, write_record
from convscope.training.devices import resolve_hardware
from convscope.training.hardware import Hardware
from convscope.training.record import first_record
from convscope.training.request import RunRequest

FIXED = ("data=digits", "trainer.accelerator=cpu", "output_dir=out", "study=found")
KEYS = {
    "conv.kernel_size": ("1", "3", "5", "7"),
    "conv.stride": ("1", "2", "3"),
    "conv.padding": ("0", "half"),
}
"""24 combinations; kernel 1 is one variant with both paddings: 21 variants."""
POSSIBLE = {**KEYS, "conv.padding": ("half",)}
"""12 combinations, each a variant."""
IMPOSSIBLE = {"k3-s3-p0", "k5-s2-p0", "k5-s3-p0", "k7-s1-p0", "k7-s2-p0", "k7-s3-p0"}
"""Of these on 28x28: worked out by hand from floor((n + 2p - k) / s) + 1, the pool in ceil mode."""

Metrics = Callable[[str], Mapping[str, float]]


def planted(variant: str) -> dict[str, float]:
    """Accuracy rises with the kernel and speed with the stride, and both depend on the padding."""
    kernel, stride, padding = (int(part[1:]) for part in variant.split("-"))
    return {
        "best_val_accuracy": 0.9 + 0.01 * kernel - 0.012 * (stride - 1) + 0.002 * padding,
        "train_samples_per_sec": 10_000.0 * stride / kernel - 100 * padding,
        "step_ms": 1.0 + kernel / stride,
        "test_accuracy": 0.5,
    }


@dataclass
class Planted:
    """An executor; a variant for which `fails` has a reason fails, as often as it is listed."""

    metrics: Metrics = planted
    max_concurrent: int = 1
    shared: bool = False
    fails: list[str] = field(default_factory=list)
    in_process = True
    is_local = False
    max_retries = 0
    started: list[str] = field(default_factory=list)
    exclusive: list[str] = field(default_factory=list)
    most_at_once: int = 0
    running: deque[tuple[RunRequest, bool]] = field(default_factory=deque)

    def hardware(self, trainer: TrainerConfig) -> Hardware:
        return replace(resolve_hardware(trainer), shared=self.shared)

    def capacity(self, exclusive: bool) -> int:
        return self.max_concurrent

    def submit(self, request: RunRequest, exclusive: bool) -> None:
        assert request.variant.impossible is None
        (self.exclusive if exclusive else self.started).append(request.variant.label)
        self.running.append((request, exclusive))
        self.most_at_once = max(self.most_at_once, len(self.running))

    def next_ended(self, timeout: float) -> tuple[str, RunRecord | None]:
        request, exclusive = self.running.popleft()
        return request.id, self.end(request, exclusive)

    def end(self, request: RunRequest, exclusive: bool = False) -> RunRecord | None:
        directory = request.directory
        directory.path.mkdir(parents=True, exist_ok=True)
        record = replace(self.outcome(request), ended_at=utc_now())
        if exclusive:
            record = replace(record, environment=record.environment | {"alone": {"threads": 2}})
        write_record(directory.record, record)
        return record

    def outcome(self, request: RunRequest) -> RunRecord:
        record, variant = first_record(request), request.variant.label
        if variant in self.fails:
            self.fails.remove(variant)
            return replace(record, status="failed", reason="out of memory")
        known = {"macs": record.macs, "params": record.params}
        metrics = {**self.metrics(variant), **known}
        return replace(record, status="finished", metrics=metrics)

    def cancel(self) -> None:
        pass

    def close(self) -> None:
        pass
