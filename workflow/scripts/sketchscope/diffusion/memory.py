"""Batches as large as the memory allows."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

from ..errors import InputError
from ..run.devices import autocast

FREE_SHARE = 0.7  # of a GPU's free memory that a batch may fill
CPU_VOXELS = 2**16  # of a batch on the CPU, where larger batches are no faster

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batches:
    """Cuts items into batches, and makes them smaller when the memory runs out.

    Parameters
    ----------
    size : int
        Largest number of items in a batch.
    """

    def __init__(self, size: int) -> None:
        self.size = size

    def map(
        self, work: Callable[[Sequence[Item]], Result], items: Sequence[Item]
    ) -> Iterator[tuple[Sequence[Item], Result]]:
        """Yield every batch and what `work` makes of it.

        Raises
        ------
        InputError
            If the memory does not hold a single item.
        """
        first = 0
        while first < len(items):
            batch = items[first : first + self.size]
            try:
                result = work(batch)
            except RuntimeError as error:
                if not _is_out_of_memory(error):
                    raise
                if len(batch) == 1:
                    raise InputError(f"generation.tile_shape: not one tile fits into memory ({error})") from error
                self.size = len(batch) // 2
                print(f"out of memory with {len(batch)} tiles at a time, going on with {self.size}")
            else:
                first += len(batch)
                yield batch, result


@torch.no_grad()
def find_batch_size(
    network: torch.nn.Module, channels: int, tile_shape: Sequence[int], device: torch.device, dtype: torch.dtype
) -> int:
    """Find how many tiles to put through a network together.

    On a GPU as many as its free memory holds, measured with one tile; on the CPU a fixed number of voxels.
    """
    if device.type == "cpu":
        return max(1, CPU_VOXELS // math.prod(tile_shape))
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    with autocast(device, dtype):
        network(torch.zeros(1, channels, *tile_shape, device=device), torch.ones(1, device=device))
    taken = torch.cuda.max_memory_allocated(device) - before
    cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return max(1, int(FREE_SHARE * (torch.cuda.mem_get_info(device)[0] + cached) / taken))


def _is_out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
