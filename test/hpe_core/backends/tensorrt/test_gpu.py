import pytest

from hpe_core.backends.tensorrt import gpu


def test_without_the_drivers_library_there_is_no_gpu_and_the_reason_names_it():
    found, reason = gpu.find("libcuda_that_is_not_there.so")
    assert found is None
    assert reason == "no NVIDIA driver here (libcuda_that_is_not_there.so is missing)"


def test_there_is_a_gpu_or_a_reason():
    found, reason = gpu.find()
    assert (found is None) != (reason is None)


@pytest.mark.trt_gpu
def test_the_gpu_describes_itself():
    found, reason = gpu.find()
    if found is None:
        pytest.skip(reason)
    major, minor = found.compute_capability.split(".")
    assert int(major) >= 5 and int(minor) >= 0
    assert found.name and float(found.cuda) >= 11
