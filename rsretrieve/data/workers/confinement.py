"""What a process that decodes may do: one record, entered once and never left.

Files of strangers are decoded by a million lines of C. Two layers stand between them and the
user. GDAL knows only the drivers of a policy (`drivers`): what a file names beside itself cannot
be opened by any other. Below that the system denies everything but reading some paths:
Landlock for files and connections, seccomp for all else that changes or asks anything, and
limits of memory, of files that are written and of processor time.
"""

from __future__ import annotations

import os
import site
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rsretrieve.data.workers.landlock import NET_ABI, landlock_abi, restrict_files_and_network
from rsretrieve.data.workers.limits import let_no_file_be_written
from rsretrieve.data.workers.seccomp import deny_system_calls, has_seccomp

VARIABLE = "RSRETRIEVE_SANDBOX"
"""`off` leaves out what the system enforces; GDAL's drivers stay limited."""

_LIBRARIES = ("/usr/lib", "/usr/lib64", "/usr/local/lib", "/lib", "/lib64", "/etc/ld.so.cache")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/sys/devices/system/cpu", "/proc/cpuinfo")
_FOR_NETWORK = (
    *("/etc/ssl", "/etc/pki", "/usr/share/ca-certificates", "/etc/resolv.conf", "/etc/hosts"),
    *("/etc/nsswitch.conf", "/etc/gai.conf", "/etc/host.conf", "/run/systemd/resolve"),
)
_DATA_OF_LIBRARIES = ("GDAL_DATA", "PROJ_DATA", "PROJ_LIB", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


@dataclass(frozen=True)
class Policy:
    """What a process may do that reads some tiles.

    Attributes:
        drivers: the only ones of GDAL's drivers that it has; None: all but services.
        readable: files, and folders with all below them, that it may read beside its own code.
        network: it may make connections.
        ports: of those, only to these TCP ports; none: to all.
        proxy: the address that its connections go through; empty: none.
        system: the system enforces all this.
    """

    drivers: tuple[str, ...] | None
    readable: tuple[str, ...]
    network: bool = False
    ports: tuple[int, ...] = ()
    proxy: str = ""
    system: bool = True


@dataclass(frozen=True)
class Enforced:
    """What this system enforces on processes that decode.

    Attributes:
        landlock_abi: the version of Landlock; 0: there is none.
        system_calls: seccomp denies what changes files, runs programs or asks a network.
        switched_off: the user's variable says `off`.
    """

    landlock_abi: int
    system_calls: bool
    switched_off: bool

    @property
    def files(self) -> bool:
        """What is not named cannot be read."""
        return self.landlock_abi > 0 and not self.switched_off

    @property
    def writes(self) -> bool:
        """Nothing can be written."""
        return (self.landlock_abi > 0 or self.system_calls) and not self.switched_off

    @property
    def network(self) -> bool:
        """Nobody can be asked."""
        return (self.landlock_abi >= NET_ABI or self.system_calls) and not self.switched_off


def enforced() -> Enforced:
    """What this system enforces now."""
    return Enforced(landlock_abi(), has_seccomp(), is_switched_off())


def is_switched_off() -> bool:
    """Whether the user leaves out what the system enforces."""
    return os.environ.get(VARIABLE, "").strip().lower() in ("off", "0", "no", "false")


def enter(policy: Policy) -> None:
    """Give up, in this process and for ever, all that a policy does not allow.

    Called before other threads run: Landlock binds the thread that asks for it, and those that
    it starts.

    Raises:
        OSError: the system has the means, and refuses.
    """
    sys.dont_write_bytecode = True
    if not policy.system or is_switched_off():
        return
    let_no_file_be_written()
    if landlock_abi():
        ports = policy.ports or None if policy.network else ()
        paths = [*own_code(), *(_FOR_NETWORK if policy.network else ()), *policy.readable]
        restrict_files_and_network(paths, ports)
    if has_seccomp():
        deny_system_calls(network=policy.network)


@cache
def own_code() -> tuple[str, ...]:
    """What a process reads that runs our code: the interpreter, packages, libraries, their data."""
    data = [os.environ[name] for name in _DATA_OF_LIBRARIES if name in os.environ]
    places = [part for value in data for part in value.split(os.pathsep) if part]
    # What `sysconfig` says, which takes longer to import than all of this.
    library = os.path.dirname(os.__file__)  # noqa: PTH120
    installed = [library, f"{sys.base_prefix}/lib", *site.getsitepackages()]
    installed.append(site.getusersitepackages())
    return (*_LIBRARIES, *_DEVICES, *places, *installed, *_packages(installed))


def _packages(installed: list[str]) -> Iterator[str]:
    """Packages and modules of the import path that lie elsewhere; never such a folder whole.

    It may be the user's own, in which a program was started.
    """
    for folder in dict.fromkeys(sys.path):
        if folder in installed or not folder:
            continue
        if any(Path(folder).is_relative_to(known) for known in installed):
            yield folder
            continue
        with suppress(OSError):
            yield from filter(_holds_code, map(str, [*Path(folder).iterdir()]))


def _holds_code(path: str) -> bool:
    """Whether a file is code, or a folder has some in it; of what is gone meanwhile, no."""
    with suppress(OSError):
        return path.endswith((".py", ".so")) or any(Path(path).glob("*.py"))
    return False
