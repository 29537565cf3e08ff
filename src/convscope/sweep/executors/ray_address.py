"""Checks that a Ray cluster can be reached."""

from __future__ import annotations

import os

import grpc

from convscope.config.errors import LAUNCHER
from convscope.errors import UserError

_HEALTH_METHOD = "/grpc.health.v1.Health/Check"
_TIMEOUT_S = 5.0


def check_reachable(address: str) -> None:
    """Check that a Ray cluster is at an address; Ray itself would try for minutes, then exit.

    Args:
        address: `auto` or `host:port`.

    Raises:
        UserError: nothing answers, or something other than Ray.
    """
    found = address
    try:
        if address == "auto":
            # Private, but the only way to find the address, which may be that of a lost cluster.
            # Imported here, as Ray reads its environment then, which `ray` of this package sets.
            from ray._private.services import canonicalize_bootstrap_address

            found = canonicalize_bootstrap_address(address) or address
        _check_health(found)
    except (ConnectionError, ValueError) as error:
        reason = str(error).partition(". ")[0]
        raise UserError(_unreachable(address, found, reason)) from error
    except grpc.RpcError as error:
        # A demand for a token or a certificate is an answer: Ray supports both.
        if error.code() is not grpc.StatusCode.UNAUTHENTICATED and not _uses_tls():
            reason = error.details().rpartition("last error: ")[2]
            raise UserError(_unreachable(address, found, reason)) from error


def is_reachable(address: str) -> bool:
    """Return whether the Ray cluster at host:port, which was reached before, still answers."""
    try:
        _check_health(address)
    except grpc.RpcError as error:
        return error.code() is grpc.StatusCode.UNAUTHENTICATED or _uses_tls()
    return True


def _check_health(address: str) -> None:
    with grpc.insecure_channel(address) as channel:
        channel.unary_unary(_HEALTH_METHOD)(b"", timeout=_TIMEOUT_S)


def _uses_tls() -> bool:
    return os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true")


def _unreachable(address: str, found: str, reason: str) -> str:
    where = reason if found == address else f"{found}: {reason}"
    return (
        f"{LAUNCHER}init.address must be where a Ray cluster answers, got {address} ({where})\n"
        "leave it out, and Ray is started on this machine"
    )
