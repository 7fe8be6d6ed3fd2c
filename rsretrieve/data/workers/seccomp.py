"""Linux's seccomp: system calls that a process gives up permanently.

Landlock does not cover everything: name look-ups by UDP, changes of permissions and times, starting
programs. A filter (classic BPF) denies these calls by their numbers, with the error EACCES, in
every thread. It also denies all ways to write, for kernels without Landlock. Structures and
numbers are those of `linux/filter.h`, `linux/seccomp.h` and the architectures' tables of system
calls.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys

from rsretrieve.data.workers.landlock import forbid_new_privileges

_LOAD_WORD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16  # of struct seccomp_data
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
_DENY, _UNKNOWN = _ERROR | errno.EACCES, _ERROR | errno.ENOSYS
_SET_FILTER, _IS_AVAILABLE, _ALL_THREADS = 1, 2, 1
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_X32_FROM = 0x40000000  # another table of numbers on x86-64

# In the order of the kernel's manual: calls that start or inspect programs, change files without
# opening them, or leave the confinement of the process.
_ALWAYS: dict[str, tuple[int, int]] = {  # x86-64, AArch64; −1: there is none
    "execve": (59, 221), "execveat": (322, 281), "fork": (57, -1), "vfork": (58, -1),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438), "io_uring_setup": (425, 425), "bpf": (321, 280),
    "perf_event_open": (298, 241), "userfaultfd": (323, 282), "keyctl": (250, 219),
    "add_key": (248, 217), "request_key": (249, 218), "unshare": (272, 97), "setns": (308, 268),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "creat": (85, -1), "openat2": (437, 437), "truncate": (76, 45), "rename": (82, -1),
    "renameat": (264, 38), "renameat2": (316, 276), "link": (86, -1), "linkat": (265, 37),
    "symlink": (88, -1), "symlinkat": (266, 36), "unlink": (87, -1), "unlinkat": (263, 35),
    "rmdir": (84, -1), "mkdir": (83, -1), "mkdirat": (258, 34), "mknod": (133, -1),
    "mknodat": (259, 33), "chmod": (90, -1), "fchmod": (91, 52), "fchmodat": (268, 53),
    "fchmodat2": (452, 452), "chown": (92, -1), "lchown": (94, -1), "fchown": (93, 55),
    "fchownat": (260, 54), "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7),
    "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16),
    "setxattrat": (463, 463), "removexattrat": (466, 466), "utime": (132, -1),
    "utimes": (235, -1), "futimesat": (261, -1), "utimensat": (280, 88),
}  # fmt: skip
_NETWORK: dict[str, tuple[int, int]] = {
    "socket": (41, 198), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201),
    "sendmmsg": (307, 269),
}  # fmt: skip
_OPENING = {"open": ((2, -1), 1), "openat": ((257, 56), 2)}  # and which argument has the flags
_CLONE, _CLONE3, _CLONE_THREAD = (56, 220), 435, 0x10000
_AUDIT_NAMES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7), "arm64": (1, 0xC00000B7)}
_SECCOMP_NUMBERS = (317, 277)


def has_seccomp() -> bool:
    """Whether this system has filters, and this module knows its processor's call numbers."""
    known = sys.platform.startswith("linux") and platform.machine() in _AUDIT_NAMES
    if not known or sys.maxsize <= 1 << 32 or sys.byteorder != "little":
        return False
    number = _SECCOMP_NUMBERS[_AUDIT_NAMES[platform.machine()][0]]
    action = struct.pack("=I", _ERROR)
    return bool(ctypes.CDLL(None).syscall(number, _IS_AVAILABLE, 0, action) == 0)


def deny_system_calls(*, network: bool) -> None:
    """Deny all calls that change files or processes, and new sockets.

    Args:
        network: sockets stay allowed.

    Raises:
        OSError: the system refuses.
    """
    which, architecture = _AUDIT_NAMES[platform.machine()]
    program = _program(which, architecture, network=network)
    forbid_new_privileges()
    system = ctypes.CDLL(None, use_errno=True)
    content = ctypes.create_string_buffer(program)
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(content))
    number = _SECCOMP_NUMBERS[which]
    if system.syscall(number, _SET_FILTER, _ALL_THREADS, header):
        found = ctypes.get_errno()
        raise OSError(found, os.strerror(found))


def _program(which: int, architecture: int, *, network: bool) -> bytes:
    """The filter: instructions of 8 bytes; each test denies at once or continues."""
    calls = {**_ALWAYS, **({} if network else _NETWORK)}
    lines = [
        _line(_LOAD_WORD, _ARCHITECTURE_AT),
        *_unless(_JUMP_EQUAL, architecture),
        _line(_LOAD_WORD, _NUMBER_AT),
        *_if(_JUMP_AT_LEAST, _X32_FROM),
    ]
    for numbers in calls.values():
        if numbers[which] >= 0:
            lines += _if(_JUMP_EQUAL, numbers[which])
    for numbers, argument in _OPENING.values():
        if numbers[which] >= 0:
            flags = [_line(_LOAD_WORD, _ARGUMENTS_AT + 8 * argument), *_if(_JUMP_BITS, _WRITING)]
            # The flags are tested for this call only; then the number is loaded again.
            lines += [_line(_JUMP_EQUAL, numbers[which], 0, len(flags) + 1), *flags]
            lines += [_line(_LOAD_WORD, _NUMBER_AT)]
    # Threads are allowed, processes are not. The flags of `clone3` are in memory, which a filter
    # cannot read: it is reported as missing, and the C library uses `clone` instead.
    lines += _if(_JUMP_EQUAL, _CLONE3, _UNKNOWN)
    flags = [_line(_LOAD_WORD, _ARGUMENTS_AT), *_unless(_JUMP_BITS, _CLONE_THREAD)]
    lines += [_line(_JUMP_EQUAL, _CLONE[which], 0, len(flags)), *flags]
    return b"".join([*lines, _line(_RETURN, _ALLOW)])


def _if(test: int, value: int, answer: int = _DENY) -> list[bytes]:
    return [_line(test, value, 0, 1), _line(_RETURN, answer)]


def _unless(test: int, value: int) -> list[bytes]:
    return [_line(test, value, 1, 0), _line(_RETURN, _DENY)]


def _line(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
