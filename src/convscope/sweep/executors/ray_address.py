"""Whether a Ray cluster answers where a command says that there is one."""

from __future__ import annotations

import os

import grpc

from convscope.config.errors import LAUNCHER
from convscope.errors import UserError

_HEALTH = "/grpc.health.v1.Health/Check"
_ANSWER_S = 5.0


def check_answers(address: str) -> None:
    """Ask whether a Ray is there: Ray itself would try for minutes, and end this process then.

    Args:
        address: auto, or host:port.

    Raises:
        UserError: nothing answers, or something that is no Ray.
    """
    found = address
    try:
        if address == "auto":
            # Private, but nothing else tells where that is: it may be a cluster that is gone.
            # Here: Ray reads its environment when it is imported, which `ray` sets before.
            from ray._private.services import canonicalize_bootstrap_address

            found = canonicalize_bootstrap_address(address) or address
        _ask_health(found)
    except (ConnectionError, ValueError) as error:
        reason = str(error).partition(". ")[0]
        raise UserError(_no_answer(address, found, reason)) from error
    except grpc.RpcError as error:
        # Who asks for a token or a certificate answers: Ray has these.
        if error.code() is not grpc.StatusCode.UNAUTHENTICATED and not _uses_tls():
            reason = error.details().rpartition("last error: ")[2]
            raise UserError(_no_answer(address, found, reason)) from error


def answers(address: str) -> bool:
    """Whether a Ray that was reached before still answers at host:port."""
    try:
        _ask_health(address)
    except grpc.RpcError as error:
        return error.code() is grpc.StatusCode.UNAUTHENTICATED or _uses_tls()
    return True


def _ask_health(address: str) -> None:
    with grpc.insecure_channel(address) as channel:
        channel.unary_unary(_HEALTH)(b"", timeout=_ANSWER_S)


def _uses_tls() -> bool:
    return os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true")


def _no_answer(address: str, found: str, reason: str) -> str:
    where = reason if found == address else f"{found}: {reason}"
    return (
        f"{LAUNCHER}init.address must be where a Ray cluster answers, got {address} ({where})\n"
        "leave it out, and Ray is started on this machine"
    )
