"""How much memory is free on a GPU, and how much some work takes at most: on CUDA by PyTorch, on CPU by Linux."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch


def free(device: torch.device) -> int:
    """Bytes of a GPU that this process can still take."""
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + unused


def peak(work: Callable[[], object], device: torch.device) -> int:
    """Bytes that some work takes at its height, beside what is held before it."""
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        work()
        return torch.cuda.max_memory_allocated(device) - before
    with suppress(OSError):  # where that is forbidden, what was taken earlier may count too
        Path("/proc/self/clear_refs").write_text("5")  # VmHWM, the height of VmRSS, begins anew
    before = _fields("/proc/self/status")["VmRSS"]
    work()
    return max(0, _fields("/proc/self/status")["VmHWM"] - before)


def _fields(path: str) -> dict[str, int]:
    """What /proc says in kB, in bytes."""
    lines = (line.split() for line in Path(path).read_text().splitlines())
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if words[-1:] == ["kB"]}


# As PyTorch on a CPU says it, CUDA itself, and cuBLAS and cuDNN.
_SHORT = ("allocate memory", "not enough memory", "out of memory", "status_alloc_failed")


def short(error: BaseException) -> bool:
    """Whether an error says that memory is short, on whatever device."""
    told = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and any(words in told for words in _SHORT)
    )
