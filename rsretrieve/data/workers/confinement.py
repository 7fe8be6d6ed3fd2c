"""The rights of a process that decodes: a policy that is entered once and never left.

Untrusted files are decoded by large C libraries. Two layers protect the user. First, GDAL has
only the drivers of the policy, so that no other driver opens what a file names. Second, the
operating system denies everything but reading some paths: Landlock denies files and connections,
seccomp denies other system calls, and limits apply to memory, written files and processor time.
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
"""`off` switches off the second layer; GDAL's drivers stay limited."""

_LIBRARIES = ("/usr/lib", "/usr/lib64", "/usr/local/lib", "/lib", "/lib64", "/etc/ld.so.cache")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/sys/devices/system/cpu", "/proc/cpuinfo")
_FOR_NETWORK = (
    *("/etc/ssl", "/etc/pki", "/usr/share/ca-certificates", "/etc/resolv.conf", "/etc/hosts"),
    *("/etc/nsswitch.conf", "/etc/gai.conf", "/etc/host.conf", "/run/systemd/resolve"),
)
_DATA_OF_LIBRARIES = ("GDAL_DATA", "PROJ_DATA", "PROJ_LIB", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


@dataclass(frozen=True)
class Policy:
    """What a process that reads tiles may do.

    Attributes:
        drivers: the GDAL drivers that it has; None: all but network services.
        readable: files, and folders with all their content, that it may read besides its code.
        network: it may make connections.
        ports: the only TCP ports it may connect to; empty: all.
        proxy: the address of its proxy; empty: none.
        system: the operating system enforces the policy.
    """

    drivers: tuple[str, ...] | None
    readable: tuple[str, ...]
    network: bool = False
    ports: tuple[int, ...] = ()
    proxy: str = ""
    system: bool = True


@dataclass(frozen=True)
class Enforced:
    """What the operating system enforces on processes that decode.

    Attributes:
        landlock_abi: the version of Landlock; 0: none.
        system_calls: seccomp denies calls that change files, run programs or use a network.
        switched_off: the user set the variable to `off`.
    """

    landlock_abi: int
    system_calls: bool
    switched_off: bool

    @property
    def reading_confined(self) -> bool:
        """Only the paths of the policy can be read."""
        return self.landlock_abi > 0 and not self.switched_off

    @property
    def writing_denied(self) -> bool:
        """Nothing can be written."""
        return (self.landlock_abi > 0 or self.system_calls) and not self.switched_off

    @property
    def network_denied(self) -> bool:
        """No connection can be made."""
        return (self.landlock_abi >= NET_ABI or self.system_calls) and not self.switched_off


def enforced() -> Enforced:
    """What this system enforces now."""
    return Enforced(landlock_abi(), has_seccomp(), is_switched_off())


def is_switched_off() -> bool:
    """Whether the user switched the system's confinement off."""
    return os.environ.get(VARIABLE, "").strip().lower() in ("off", "0", "no", "false")


def enter(policy: Policy) -> None:
    """Give up, permanently in this process, every right that a policy does not grant.

    To be called before other threads start: Landlock confines the calling thread and the
    threads that it starts later.

    Raises:
        OSError: the system has these means, and refuses.
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
    """What a process needs to read to run: interpreter, packages, libraries and their data."""
    data = [os.environ[name] for name in _DATA_OF_LIBRARIES if name in os.environ]
    places = [part for value in data for part in value.split(os.pathsep) if part]
    # As `sysconfig` gives them, which takes long to import.
    library = os.path.dirname(os.__file__)  # noqa: PTH120
    installed = [library, f"{sys.base_prefix}/lib", *site.getsitepackages()]
    installed.append(site.getusersitepackages())
    return (*_LIBRARIES, *_DEVICES, *places, *installed, *_packages(installed))


def _packages(installed: list[str]) -> Iterator[str]:
    """Other folders of the import path into which packages were installed, such as by a .pth file.

    Of any other folder only packages and modules: it may be the user's, in which a program was
    started.
    """
    for folder in dict.fromkeys(sys.path):
        if folder in installed or not folder:
            continue
        is_within = any(Path(folder).is_relative_to(known) for known in installed)
        if is_within or any(Path(folder).glob("*.dist-info")):
            yield folder
            continue
        with suppress(OSError):
            yield from filter(_holds_code, map(str, [*Path(folder).iterdir()]))


def _holds_code(path: str) -> bool:
    """Whether a path is a file of code or a folder with such files; False if it was removed."""
    with suppress(OSError):
        files = any(any(Path(path).glob(kind)) for kind in ("*.py", "*.so*"))
        return path.endswith((".py", ".so")) or files
    return False
