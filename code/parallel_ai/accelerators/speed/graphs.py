"""CUDA graphs: a whole step recorded once, then launched as one."""

import torch
from torch import nn
from torch.nn import functional as F

from parallel_ai.accelerators.vision import Part
from parallel_ai.toolbox import device as devices

WARM = 3


class GraphedStep:
    """A training step that a GPU replays without the CPU's help.

    Shapes and addresses are fixed: batches are copied into the recorded
    one, and the learning rate is a tensor on the device.

    Parameters
    ----------
    model : Module
        On a CUDA device, in training mode.
    batch : Part
        Its shape is the shape of all batches.

    Raises
    ------
    DeviceError
        The device is no CUDA device.
    """

    def __init__(
        self, model: nn.Module, batch: Part, learning_rate: float
    ) -> None:
        device = batch.labels.device
        if device.type != "cuda":
            raise devices.DeviceError(
                f"CUDA graphs need a CUDA device, and the batch is on "
                f"{device}: call the step itself instead."
            )
        self.model = model
        self.batch = Part(batch.images.clone(), batch.labels.clone())
        self.rate = torch.tensor(learning_rate, device=device)
        self.optimizer = torch.optim.AdamW(
            model.parameters(), lr=self.rate, capturable=True, fused=True
        )
        before = {k: v.clone() for k, v in model.state_dict().items()}
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # as PyTorch's notes ask
            for _ in range(WARM):
                self._step()
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        self.optimizer.zero_grad(set_to_none=True)
        with torch.cuda.graph(self.graph):
            self.loss = self._step()
        # The warm-up was real: back to the start, at the same addresses.
        model.load_state_dict(before)
        for state in self.optimizer.state.values():
            for value in state.values():
                value.zero_()

    def _step(self) -> torch.Tensor:
        self.optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(
            self.model(self.batch.images), self.batch.labels
        )
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def __call__(self, batch: Part) -> torch.Tensor:
        """Copy the batch in, replay; the loss is overwritten by the next."""
        self.batch.images.copy_(batch.images, non_blocking=True)
        self.batch.labels.copy_(batch.labels, non_blocking=True)
        self.graph.replay()
        return self.loss
