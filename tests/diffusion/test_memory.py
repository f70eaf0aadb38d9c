import contextlib
import subprocess
import sys

import pytest
import torch
from running import REPOSITORY
from sketchscope.diffusion import memory
from sketchscope.diffusion.memory import CPU_VOXELS, Batches, find_batch_size
from sketchscope.errors import InputError


def scarce(most):
    """Work that runs out of memory on more than `most` items, and the list of the sizes that it was asked for."""
    asked = []

    def work(batch):
        asked.append(len(batch))
        if len(batch) > most:
            raise torch.OutOfMemoryError("no memory left")
        return [10 * item for item in batch]

    return work, asked


@pytest.mark.parametrize("size", [1, 3, 4, 100])
def test_every_item_once_and_in_order(size):
    work, asked = scarce(100)
    found = [item for batch, result in Batches(size).map(work, range(11)) for item in zip(batch, result, strict=True)]
    assert found == [(item, 10 * item) for item in range(11)]
    assert max(asked) == min(size, 11)


def test_batches_shrink_when_memory_runs_out_and_stay_small():
    batches, (work, asked) = Batches(16), scarce(5)
    for _ in range(2):
        assert [item for batch, _ in batches.map(work, range(10)) for item in batch] == list(range(10))
    assert asked == [10, 5, 5, 5, 5]


def test_one_item_that_does_not_fit():
    work, _ = scarce(0)
    with pytest.raises(InputError, match=r"^generation.tile_shape: not one tile fits into memory \(no memory left\)$"):
        list(Batches(4).map(work, range(10)))


def test_other_faults_are_not_hidden():
    def broken(batch):
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        list(Batches(4).map(broken, range(10)))


@pytest.mark.parametrize(("tile_shape", "size"), [((64, 64), CPU_VOXELS // 4096), ((64, 256, 256), 1)])
def test_size_on_the_cpu(tile_shape, size):
    assert find_batch_size(torch.nn.Identity(), 1, tile_shape, torch.device("cpu"), torch.float32) == size


LIMITED = """
import resource, sys
import torch
from sketchscope.diffusion.memory import Batches
torch.set_num_threads(1)
torch.ones(8, 8) @ torch.ones(8, 8)  # whatever the libraries keep is taken before the limit
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 200 * 2**20, -1))
batches = Batches(16)
done = [made for _, made in batches.map(lambda batch: len(torch.ones(len(batch), 2**24)), range(16))]
print(sum(done), batches.size)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory as Linux has them")
def test_memory_that_really_runs_out():
    """64 MiB an item, where 200 MiB are left."""
    path = {"PYTHONPATH": str(REPOSITORY / "workflow/scripts"), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", LIMITED], env=path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    items, size = map(int, done.stdout.split("\n")[-2].split())
    assert items == 16
    assert 1 <= size < 4
    assert "out of memory with 16 tiles at a time, going on with 8" in done.stdout


@pytest.mark.parametrize(("free", "size"), [(100_000, 182), (1000, 4), (10, 2), (-1500, 1)])
def test_as_many_tiles_as_the_free_and_the_cached_memory_of_a_gpu_hold(monkeypatch, free, size):
    """One tile takes 500 bytes beside the 200 of the network; 1,600 are cached; 0.9 of all that counts."""
    seen = []
    told = {"memory_allocated": 200, "max_memory_allocated": 700, "memory_reserved": 1800, "mem_get_info": (free, 0)}
    for name, value in told.items():
        monkeypatch.setattr(torch.cuda, name, lambda device, value=value: value)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: seen.append("reset"))
    monkeypatch.setattr(memory, "autocast", lambda device, dtype: contextlib.nullcontext())
    monkeypatch.setattr(memory, "FREE_SHARE", 0.9)

    def network(x_t, t):
        seen.append((tuple(x_t.shape), tuple(t.shape)))

    assert memory.find_batch_size(network, 2, (8, 16), torch.device("meta"), torch.float16) == size
    assert seen == ["reset", ((1, 2, 8, 16), (1,))]
