"""Docker-format seccomp profiles to OCI ``linux.seccomp``: which rules count for this container on this host.

Follows containers/common pkg/seccomp (setupSeccomp) and, for ``minKernel``, moby's profiles/seccomp. The same input
gives the same output, in the profile's order.
"""

from __future__ import annotations

import json
from typing import Any

from supervisor.errors import UserError

#: uname(2)'s word: Go's word (used by ``arches``), libseccomp's word (used by ``archMap``).
_ARCHITECTURES = {"x86_64": ("amd64", "SCMP_ARCH_X86_64"), "aarch64": ("arm64", "SCMP_ARCH_AARCH64")}


def evaluate(
    profile: str, capabilities: tuple[str, ...], architecture: str, kernel: tuple[int, int]
) -> dict[str, Any] | None:
    """*profile* text for a container with *capabilities* (its bounding set); None when it filters nothing.

    Raises `UserError` for a text that is no profile and for an architecture ctr does not know.
    """
    if architecture not in _ARCHITECTURES:
        raise UserError(f"seccomp: architecture '{architecture}' is not one of {', '.join(_ARCHITECTURES)}")
    try:
        document = json.loads(profile)
        return _evaluate(document, frozenset(capabilities), *_ARCHITECTURES[architecture], kernel)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"seccomp profile: not in the format of containers/common's seccomp.json: {error!r}") from error


def _evaluate(
    document: dict[str, Any], capabilities: frozenset[str], go_arch: str, arch: str, kernel: tuple[int, int]
) -> dict[str, Any] | None:
    if not document.get("defaultAction") and not document.get("syscalls"):
        return None
    rules = [
        _rule(rule)
        for rule in document.get("syscalls") or ()
        if _holds(rule.get("includes") or {}, capabilities, go_arch, kernel)
        and not _excluded(rule.get("excludes") or {}, capabilities, go_arch, kernel)
    ]
    result: dict[str, Any] = {"defaultAction": document["defaultAction"]}
    if document.get("defaultErrnoRet") is not None:
        result["defaultErrnoRet"] = document["defaultErrnoRet"]
    if architectures := _architectures(document, arch):
        result["architectures"] = architectures
    if document.get("flags"):
        result["flags"] = document["flags"]
    result["syscalls"] = rules
    return result


def _architectures(document: dict[str, Any], arch: str) -> list[str]:
    if document.get("architectures"):
        return list(document["architectures"])
    for entry in document.get("archMap") or ():
        if entry["architecture"] == arch:
            return [arch, *(entry.get("subArchitectures") or ())]
    return []


def _holds(condition: dict[str, Any], capabilities: frozenset[str], arch: str, kernel: tuple[int, int]) -> bool:
    """``includes``: every capability, one of the architectures, at least this kernel."""
    arches, minimum = condition.get("arches"), condition.get("minKernel")
    return (
        capabilities.issuperset(condition.get("caps") or ())
        and (not arches or arch in arches)
        and (not minimum or kernel >= _version(minimum))
    )


def _excluded(condition: dict[str, Any], capabilities: frozenset[str], arch: str, kernel: tuple[int, int]) -> bool:
    """``excludes``: any of the capabilities, one of the architectures, or at least this kernel."""
    minimum = condition.get("minKernel")
    return (
        not capabilities.isdisjoint(condition.get("caps") or ())
        or arch in (condition.get("arches") or ())
        or bool(minimum and kernel >= _version(minimum))
    )


def _version(text: str) -> tuple[int, int]:
    major, minor = text.split(".")[:2]
    return int(major), int(minor)


def _rule(rule: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {"names": rule.get("names") or [rule["name"]], "action": rule["action"]}
    if rule.get("errnoRet") is not None:
        result["errnoRet"] = rule["errnoRet"]
    if rule.get("args"):
        result["args"] = [
            {key: arg[key] for key in ("index", "value", "valueTwo", "op") if arg.get(key) or key in ("index", "value")}
            for arg in rule["args"]
        ]
    return result
