import numpy as np
import pytest
import torch
from sketchscope.errors import InputError
from sketchscope.run import devices
from sketchscope.run.devices import autocast, choose_device, choose_precision, describe_device, to_device

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def gpu(monkeypatch):
    """Pretend that there is a GPU, or none."""
    return lambda there: monkeypatch.setattr(torch.cuda, "is_available", lambda: there)


@pytest.mark.parametrize(
    ("there", "setting", "device"),
    [(False, "auto", CPU), (True, "auto", CUDA), (False, "cpu", CPU), (True, "cpu", CPU), (True, "cuda", CUDA)],
)
def test_device(gpu, there, setting, device):
    gpu(there)
    assert choose_device(setting) == device


def test_never_the_cpu_in_place_of_a_gpu(gpu):
    gpu(False)
    with pytest.raises(InputError, match=r"a GPU is asked for on .*, but .*CUDA"):
        choose_device("cuda")


@pytest.mark.parametrize("device", [CPU, CUDA])
@pytest.mark.parametrize(
    ("setting", "dtype"), [("bf16", torch.bfloat16), ("fp16", torch.float16), ("fp32", torch.float32)]
)
def test_precision_as_asked(setting, dtype, device):
    assert choose_precision(setting, device) is dtype


@pytest.mark.parametrize(("fast", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_precision_auto(monkeypatch, fast, dtype):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: fast)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: fast)
    assert choose_precision("auto", CPU) is dtype
    assert choose_precision("auto", CUDA) is dtype


def test_emulated_bf16_is_not_what_the_hardware_has(monkeypatch):
    """GPUs before Ampere compute bf16, but slower than fp32."""
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    assert choose_precision("auto", CUDA) is torch.float32


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_autocast(dtype):
    layer = torch.nn.Conv2d(1, 8, 3)
    with autocast(CPU, dtype):
        assert torch.is_autocast_enabled("cpu") == (dtype is not torch.float32)
        assert layer(torch.ones(1, 1, 8, 8)).dtype is dtype
    assert layer(torch.ones(1, 1, 8, 8)).dtype is torch.float32


def test_description(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H100")
    assert describe_device(CUDA) == "cuda (NVIDIA H100)"


@pytest.mark.parametrize(("fast", "words"), [(True, "fast at bf16"), (False, "not fast at bf16")])
def test_description_of_a_cpu(tmp_path, monkeypatch, fast, words):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: fast)
    monkeypatch.setattr(devices, "CPU_INFO", tmp_path / "cpuinfo")
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel\t\t: 1\nmodel name\t: AMD EPYC 7763\nprocessor\t: 1\n")
    assert describe_device(CPU) == f"cpu (AMD EPYC 7763, {words})"


@pytest.mark.parametrize("content", [None, "", "processor\t: 0\nmodel\t: 1\n"])
def test_description_of_a_cpu_without_a_name(tmp_path, monkeypatch, content):
    """Elsewhere than on Linux, and on Linux of some other processors."""
    monkeypatch.setattr(devices, "CPU_INFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(devices.platform, "processor", lambda: "")
    monkeypatch.setattr(devices.platform, "machine", lambda: "arm64")
    if content is not None:
        (tmp_path / "cpuinfo").write_text(content)
    assert describe_device(CPU).startswith("cpu (arm64, ")


def test_array_on_a_device():
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(to_device(array, CPU).numpy(), array)
