"""Signals: noted when they come, acted on between steps, handlers put back."""

import os
import signal
import threading

import pytest

from convscope.training.interruption import Interruption
from convscope.training.signals import Interrupted, Signals

BOTH = [signal.SIGINT, signal.SIGTERM]


@pytest.mark.parametrize("signum", BOTH)
def test_a_first_signal_waits_for_the_end_of_a_step(signum: signal.Signals) -> None:
    with Signals() as signals:
        signals.check()
        os.kill(os.getpid(), signum)
        with pytest.raises(Interrupted) as stop:
            signals.check()
    assert stop.value.signum == signum
    assert str(stop.value) == signum.name


@pytest.mark.parametrize("hook", ["on_validation_batch_end", "on_test_batch_end"])
def test_a_first_signal_waits_for_the_end_of_a_batch(hook: str) -> None:
    with Signals() as signals:
        interruption = Interruption(signals)
        getattr(interruption, hook)()
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Interrupted):
            getattr(interruption, hook)()


@pytest.mark.parametrize("second", BOTH)
def test_a_second_signal_ends_all_at_once(second: signal.Signals) -> None:
    with Signals():
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Interrupted) as stop:
            os.kill(os.getpid(), second)
    assert stop.value.signum == second


@pytest.mark.parametrize("ends_with", [None, ValueError, KeyboardInterrupt])
def test_handlers_are_put_back(ends_with: type[BaseException] | None) -> None:
    before = [signal.getsignal(signum) for signum in BOTH]
    try:
        with Signals():
            assert [signal.getsignal(signum) for signum in BOTH] != before
            if ends_with is not None:
                raise ends_with
    except (ValueError, KeyboardInterrupt):
        pass
    assert [signal.getsignal(signum) for signum in BOTH] == before


def test_outside_the_main_thread_signals_are_left_alone() -> None:
    """Python gives them to the main thread, and lets no other ask for them."""
    before = [signal.getsignal(signum) for signum in BOTH]
    within = []

    def run() -> None:
        with Signals():
            within.extend(signal.getsignal(signum) for signum in BOTH)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert within == before
