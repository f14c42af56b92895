"""C++ of ours, compiled on first use by the machine's own compiler and kept for later.

A library is kept in ~/.cache/caref, for every later process on a machine with the same processor and compiler.
"""

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import torch

FLAGS = (
    "-std=c++17",
    "-O3",
    "-march=native",
    "-fopenmp-simd",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-shared",
    "-fPIC",
    "-pthread",
)


class CannotCompile(Exception):
    """There is no C++ compiler here, or it refused; the message says which."""


def library(source: Path, *definitions: str) -> ctypes.CDLL:
    """The library of one source file, compiled unless it lies ready.

    Args:
        definitions: more flags, such as -DKIND=1.

    Raises:
        CannotCompile: there is no C++ compiler, it refused, or what it built does not load.
    """
    compiler = _compiler()
    flags = (*FLAGS, *definitions)
    built_from = (source.read_text(), *flags, compiler, _version(compiler), _processor())
    path = folder() / f"{source.stem}_{hashlib.sha256('|'.join(built_from).encode()).hexdigest()[:16]}.so"
    if not path.exists():
        _compile(compiler, flags, source, path)
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise CannotCompile(f"{path} does not load: {error}") from error


def parallel_library(source: Path, *definitions: str) -> ctypes.CDLL:
    """`library` of a source that shares its work out by OpenMP; on one thread where the compiler has none.

    With PyTorch loaded the threads are PyTorch's own.
    """
    try:
        return library(source, "-fopenmp", *definitions)
    except CannotCompile:
        return library(source, *definitions)


def threads(count: int, least: int) -> int:
    """How many of PyTorch's threads to share `count` things among; for fewer than `least`, waking one does not pay."""
    return max(1, min(torch.get_num_threads(), count // least))


@cache
def folder() -> Path:
    """Where what is compiled is kept."""
    wanted = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "caref"
    try:
        wanted.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=wanted):
            return wanted
    except OSError:
        # A home that cannot be written to: compile for this process alone.
        return Path(tempfile.mkdtemp(prefix="caref-"))


def _compile(compiler: str, flags: tuple[str, ...], source: Path, path: Path) -> None:
    # Renamed into place, so that processes that compile at the same moment never load half a file.
    handle, unfinished = tempfile.mkstemp(suffix=".so", dir=path.parent)
    os.close(handle)
    try:
        command = [compiler, *flags, "-o", unfinished, str(source)]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        if ran.returncode:
            raise CannotCompile(f"{compiler} failed on {source.name}: {ran.stderr.strip()[:500]}")
        os.replace(unfinished, path)
    finally:
        Path(unfinished).unlink(missing_ok=True)


def _compiler() -> str:
    for name in (os.environ.get("CXX"), "c++", "g++", "clang++"):
        if name and (path := shutil.which(name)):
            return path
    raise CannotCompile("no C++ compiler was found (c++, g++, clang++ or $CXX)")


@cache
def _version(compiler: str) -> str:
    return subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False).stdout


@cache
def _processor() -> str:
    """What -march=native depends on: a home folder may be shared by machines that differ in it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    described = ("vendor_id", "cpu family", "model", "flags", "CPU part", "Features")
    return "\n".join(sorted({line for line in lines if line.split("\t")[0].strip() in described}))
