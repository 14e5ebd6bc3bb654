"""The NVIDIA GPU of this machine, asked through the driver's own library: no package is needed to know there is none.

Source: CUDA driver API, libcuda.so.1 (cuInit, cuDeviceGetCount, cuDeviceGetName, cuDeviceGetAttribute).
"""

import ctypes
from dataclasses import dataclass

MAJOR, MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, _MINOR


@dataclass(frozen=True)
class Gpu:
    """Device 0. compute_capability like "8.7"; cuda: version that the driver supports, like "12.6"."""

    name: str
    compute_capability: str
    cuda: str


def find(library: str = "libcuda.so.1") -> tuple[Gpu | None, str | None]:
    """(Gpu, None), or (None, reason in a few words)."""
    try:
        cuda = ctypes.CDLL(library)
    except OSError:
        return None, f"no NVIDIA driver here ({library} is missing)"
    code = cuda.cuInit(0)
    if code:
        return None, f"the NVIDIA driver does not start (cuInit gives {code})"
    number = ctypes.c_int()
    if cuda.cuDeviceGetCount(ctypes.byref(number)) or number.value == 0:
        return None, "the NVIDIA driver finds no GPU"
    name, device = ctypes.create_string_buffer(256), ctypes.c_int()
    values = [ctypes.c_int() for _ in range(3)]
    codes = [
        cuda.cuDeviceGet(ctypes.byref(device), 0),
        cuda.cuDeviceGetName(name, len(name), device),
        cuda.cuDeviceGetAttribute(ctypes.byref(values[0]), MAJOR, device),
        cuda.cuDeviceGetAttribute(ctypes.byref(values[1]), MINOR, device),
        cuda.cuDriverGetVersion(ctypes.byref(values[2])),
    ]
    if any(codes):
        return None, f"the NVIDIA driver does not describe its GPU (codes {codes})"
    major, minor, version = (value.value for value in values)
    return Gpu(name.value.decode(), f"{major}.{minor}", f"{version // 1000}.{version % 1000 // 10}"), None
