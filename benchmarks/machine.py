"""What was measured on: without it a ratio means little."""

import os
import platform
from pathlib import Path

import torch

__all__ = ["describe"]


def describe() -> dict[str, object]:
    """Return processor, instructions, threads, load, versions and the GPU if there is one."""
    return {
        "processor": _processor(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "bf16_instructions": [flag for flag in ("amx_bf16", "avx512_bf16") if flag in _cpuinfo()],
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_before": os.getloadavg()[0],
        "torch": torch.__version__,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def _cpuinfo() -> str:
    path = Path("/proc/cpuinfo")
    return path.read_text() if path.is_file() else ""


def _processor() -> str:
    for line in _cpuinfo().splitlines():
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return platform.processor() or platform.machine()
