"""Linux's Landlock: a process gives up the right to open files and to connect, permanently.

A ruleset handles some rights; whatever no rule allows is then denied, below every path. It needs
Linux 5.13 or newer. Structures and numbers are those of
`include/uapi/linux/landlock.h`; the documentation is "Landlock: unprivileged access control" in
the kernel's user-space API guide.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Iterable
from contextlib import suppress

_CREATE, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture of interest
_VERSION_FLAG = 1
_PATH_BENEATH, _NET_PORT = 1, 2
_SET_NO_NEW_PRIVILEGES = 38  # linux/prctl.h

_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_FS_RIGHTS_BY_ABI = (0, (1 << 13) - 1, (1 << 14) - 1, (1 << 15) - 1, (1 << 15) - 1, (1 << 16) - 1)
"""All rights over files that each ABI knows: to run, write, read, list, remove and make; from
2 on also to link and rename, from 3 on to truncate, from 5 on to control devices."""
_NET_FROM_ABI, _SCOPES_FROM_ABI = 4, 6
_NET_RIGHTS, _CONNECT_TCP = 0b11, 0b10  # to bind and to connect TCP sockets
_SCOPES = 0b11  # abstract sockets and signals stay within the process

NET_ABI = _NET_FROM_ABI
"""The first ABI that also denies TCP connections."""


def landlock_abi() -> int:
    """The version of Landlock that this system enforces; 0 if none.

    >>> landlock_abi() >= 0
    True
    """
    if not sys.platform.startswith("linux"):
        return 0
    return max(0, int(_system().syscall(_CREATE, None, ctypes.c_size_t(0), _VERSION_FLAG)))


def restrict_files_and_network(readable: Iterable[str], ports: Iterable[int] | None) -> None:
    """Let this thread, and all that it starts, read only some paths and write nowhere.

    Args:
        readable: files, and folders with all their content; missing ones are ignored.
        ports: the TCP ports that may be connected to; None for all.

    Raises:
        OSError: the system has no Landlock, or refuses.
    """
    abi = landlock_abi()
    if not abi:
        raise OSError("this system has no Landlock")
    handled = _FS_RIGHTS_BY_ABI[min(abi, len(_FS_RIGHTS_BY_ABI) - 1)]
    network = _NET_RIGHTS if abi >= _NET_FROM_ABI and ports is not None else 0
    scopes = _SCOPES if abi >= _SCOPES_FROM_ABI else 0
    attributes = struct.pack("=QQQ", handled, network, scopes)
    size = 8 if abi < _NET_FROM_ABI else 16 if abi < _SCOPES_FROM_ABI else 24
    ruleset = _called(_CREATE, attributes, ctypes.c_size_t(size), 0)
    try:
        for path in readable:
            with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
                _allow_reading(ruleset, path)
        for port in (ports or ()) if network else ():
            rule = struct.pack("=QQ", _CONNECT_TCP, port)
            _called(_ADD_RULE, ruleset, _NET_PORT, rule, 0)
        forbid_new_privileges()
        _called(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def forbid_new_privileges() -> None:
    """Forbid that a program started by this process gains rights (setuid).

    Raises:
        OSError: the system refuses.
    """
    if _system().prctl(_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        raise _last_error()


def _allow_reading(ruleset: int, path: str) -> None:
    handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rights = _READ_FILE | (_READ_DIR if os.path.isdir(path) else 0)  # noqa: PTH112
        _called(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, handle), 0)
    finally:
        os.close(handle)


def _called(number: int, *arguments: object) -> int:
    found = int(_system().syscall(number, *arguments))
    if found < 0:
        raise _last_error()
    return found


def _system() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _last_error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))
