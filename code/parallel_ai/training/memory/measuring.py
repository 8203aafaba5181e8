"""How many bytes a training really holds: counted, one storage once."""

import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.distributed.tensor import DTensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from parallel_ai.training.memory.formulas import Held


def storages(tensors: Iterable[Any]) -> dict[int, torch.UntypedStorage]:
    """Find where tensors lie: views of one storage share it.

    A sharded tensor counts with the part that this rank has. What is no
    tensor is left out.
    """
    local = [
        one._local_tensor if isinstance(one, DTensor) else one
        for one in tensors
        if isinstance(one, torch.Tensor)
    ]
    found = (one.untyped_storage() for one in local)
    return {one._cdata: one for one in found}


def bytes_of(tensors: Iterable[Any]) -> int:
    """Bytes that tensors hold, each storage once."""
    return sum(one.nbytes() for one in storages(tensors).values())


def held(
    weights: Iterable[torch.Tensor], optimizer: torch.optim.Optimizer
) -> Held:
    """Bytes that a model and its optimizer hold now, between two passes.

    Parameters
    ----------
    weights : iterable of Tensor
        The model's. What the optimizer updates beside them (master weights)
        counts as its state.
    """
    weights = list(weights)
    mine = [p for group in optimizer.param_groups for p in group["params"]]
    known = storages(weights).keys()
    masters = [p for p in mine if not storages([p]).keys() <= known]
    states = tree_leaves([*optimizer.state.values()])
    return Held(
        bytes_of(weights),
        bytes_of(p.grad for p in {*weights, *mine}),
        bytes_of([*states, *masters]),
    )


def there(
    model: nn.Module, optimizer: torch.optim.Optimizer
) -> list[torch.Tensor]:
    """List what exists between two steps, for a `Tracker` to begin with."""
    weights = list(model.parameters())
    grads = [p.grad for p in weights if p.grad is not None]
    return [*weights, *grads, *tree_leaves([*optimizer.state.values()])]


class Saved:
    """Watch what autograd saves for the backward pass.

    Attributes
    ----------
    bytes : int
        Each storage once, without those of `known`.
    """

    def __init__(self, known: Iterable[torch.Tensor] = ()) -> None:
        self._known = storages(known)
        self._kept: list[torch.Tensor] = []

    def note(self, tensor: torch.Tensor) -> torch.Tensor:
        """Remember a tensor, and let autograd keep it as it is."""
        self._kept.append(tensor)
        return tensor

    @property
    def bytes(self) -> int:
        """Count what was saved so far."""
        found = storages(self._kept)
        new = found.keys() - self._known.keys()
        return sum(found[key].nbytes() for key in new)


@contextmanager
def saving(known: Iterable[torch.Tensor] = ()) -> Iterator[Saved]:
    """Count what a forward pass saves; `known` (the parameters) is free."""
    saved = Saved(known)
    with torch.autograd.graph.saved_tensors_hooks(saved.note, lambda one: one):
        yield saved


class Tracker(TorchDispatchMode):
    """Follow the bytes of all tensors, operator by operator.

    What an operator takes for itself and gives back before it returns is
    not seen, and neither is what lies outside tensors.

    Parameters
    ----------
    tensors : iterable of Tensor
        Those that exist before.

    Attributes
    ----------
    line : list of int
        Bytes after each operator.
    marks : dict of str to int
        Where in the line a phase begins.
    """

    def __init__(self, tensors: Iterable[Any] = ()) -> None:
        super().__init__()
        self._alive: dict[int, weakref.ref[torch.UntypedStorage]] = {}
        self.line: list[int] = []
        self.marks: dict[str, int] = {}
        self.note(tensors)

    def __torch_dispatch__(
        self,
        operator: Any,
        types: Any,
        args: Any = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run an operator, and count what is there after it."""
        came = operator(*args, **(kwargs or {}))
        self.note(tree_leaves(came))
        self.line.append(self.now)
        return came

    def note(self, tensors: Iterable[Any]) -> None:
        """Follow tensors that came from elsewhere."""
        for key, one in storages(tensors).items():
            if key not in self._alive:
                gone = partial(self._forget, key)
                self._alive[key] = weakref.ref(one, gone)

    def _forget(self, key: int, _: Any) -> None:
        del self._alive[key]

    @property
    def now(self) -> int:
        """Bytes that are held now; a storage may have changed its size."""
        there = [one() for one in list(self._alive.values())]
        return sum(one.nbytes() for one in there if one is not None)

    @property
    def peak(self) -> int:
        """Most bytes so far."""
        return max(self.line, default=self.now)

    def mark(self, name: str) -> None:
        """Begin a phase."""
        self.marks[name] = len(self.line)
