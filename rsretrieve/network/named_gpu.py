"""Check a device on which nothing is computed."""

from __future__ import annotations

from rsretrieve.network.device_names import check_device_name


def check_named_gpu(name: str) -> None:
    """Check a device on which nothing is computed: PyTorch is loaded only if a GPU was named.

    Raises:
        InvalidArgument: not the name of a device.
        DeviceUnavailable: there is no such GPU.
    """
    check_device_name(name)
    if name.startswith("cuda"):
        from rsretrieve.network.device import choose_device

        choose_device(name)
