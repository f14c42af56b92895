"""How much memory is free, and how much some work takes at most: on CUDA by PyTorch, on CPU by Linux."""

import resource
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch


def free(device: torch.device) -> int:
    """Bytes that can still be taken, within what the machine has and what this process is allowed."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    limits = [_fields("/proc/meminfo")["MemAvailable"], *_left_in_group()]
    allowed, _ = resource.getrlimit(resource.RLIMIT_AS)
    if allowed != resource.RLIM_INFINITY:
        limits.append(allowed - _fields("/proc/self/status")["VmSize"])
    return max(0, min(limits))


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


def _left_in_group() -> list[int]:
    """Of a container's limit, where there is one."""
    group = Path("/sys/fs/cgroup")
    try:
        return [int((group / "memory.max").read_text()) - int((group / "memory.current").read_text())]
    except (OSError, ValueError):  # no such group, or no limit: "max"
        return []


def short(error: BaseException) -> bool:
    """Whether an error says that memory is short, on whatever device."""
    told = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and ("allocate memory" in told or "not enough memory" in told)
    )
