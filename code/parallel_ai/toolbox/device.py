"""One device for a page: a GPU where PyTorch finds one, else the CPU.

`torch` is imported when a function is called: `parallel_ai.toolbox` stays
cheap to import.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from parallel_ai.toolbox import machine
from parallel_ai.toolbox.stopwatch import readable_bytes

if TYPE_CHECKING:
    import torch

WANTED = "PARALLEL_AI_DEVICE"
"""Environment variable that names the device: `cpu`, `cuda`, `cuda:1` …"""

Args = ParamSpec("Args")
Result = TypeVar("Result")


class DeviceError(RuntimeError):
    """The device that was asked for is not there; the message says why."""


class OutOfMemoryError(MemoryError):
    """A device has no room left; the message says what to reduce."""


def choose(name: str | None = None) -> "torch.device":
    """Choose where to compute.

    Parameters
    ----------
    name : str or None
        `cpu`, `cuda`, `cuda:1`, `mps` …; None for what the variable
        `PARALLEL_AI_DEVICE` says, and without it for the first accelerator
        that PyTorch finds, else the CPU.

    Returns
    -------
    torch.device
        One that works: a small sum was computed on it.

    Raises
    ------
    DeviceError
        No such device here; the message says how to go on.
    """
    import torch

    wanted = name or os.environ.get(WANTED)
    if not wanted:
        found = torch.accelerator.current_accelerator(check_available=True)
        return found or torch.device("cpu")
    try:
        device = torch.device(wanted)
        torch.ones(2, device=device).sum().item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise DeviceError(
            f"PyTorch {torch.__version__} cannot compute on {wanted!r} here "
            f"({_first_line(error)}). Devices: {', '.join(_devices())}. "
            f"Choose one of them, or leave the choice out, and unset {WANTED}."
        ) from error
    return device


def name(device: "torch.device") -> str:
    """Name a device as its maker does: `NVIDIA H200`, or the processor."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return machine.cpu() if device.type == "cpu" else device.type.upper()


def finish(device: "torch.device") -> None:
    """Wait until a device has done all that it was given.

    A GPU's work only *starts* with the call; a clock that is stopped without
    waiting has timed the launch. On a CPU there is nothing to wait for.
    """
    import torch

    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def finished(
    job: Callable[Args, Result], device: "torch.device"
) -> Callable[Args, Result]:
    """Make a job wait for its device, so that a stopwatch times its work."""

    def work(*args: Args.args, **kwargs: Args.kwargs) -> Result:
        result = job(*args, **kwargs)
        finish(device)
        return result

    return work


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Give PyTorch so many threads of the CPU within an operation.

    Of the whole process: not for two blocks side by side.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def room_for(what: str, advice: str) -> Iterator[None]:
    """Turn a full memory into an error that says what to do about it.

    Parameters
    ----------
    what : str
        What was computed: `a batch of 4,096 pictures`.
    advice : str
        What to reduce: `a smaller batch_size needs less`.

    Raises
    ------
    OutOfMemoryError
        On a GPU, or where the CPU's allocator refused; not where the system
        kills the process, which no program can catch.
    """
    import torch

    try:
        yield
    except torch.OutOfMemoryError as error:
        free, total = torch.cuda.mem_get_info()
        raise OutOfMemoryError(
            f"No room for {what} on {torch.cuda.get_device_name()}: "
            f"{readable_bytes(free)} of {readable_bytes(total)} are free. "
            f"{advice[:1].upper()}{advice[1:]}."
        ) from error
    except RuntimeError as error:
        if "you tried to allocate" not in str(error):
            raise
        raise OutOfMemoryError(
            f"No room for {what} on the CPU: this process may use "
            f"{readable_bytes(machine.memory())} "
            f"({_first_line(error)}). {advice[:1].upper()}{advice[1:]}."
        ) from error


def _devices() -> list[str]:
    """Name the devices that PyTorch finds."""
    import torch

    kind = torch.accelerator.current_accelerator(check_available=True)
    count = torch.accelerator.device_count() if kind else 0
    return ["cpu", *(f"{kind}:{number}" for number in range(count))]


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
