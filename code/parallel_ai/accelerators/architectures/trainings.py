"""Three architectures, the same pictures, the same training function."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from parallel_ai.accelerators import vision
from parallel_ai.accelerators.architectures.vit import ARCHITECTURES

RATE, BATCH = 0.002, 32  # tried for the transformer, on the validation part


def passes(pictures: int, shown: int) -> int:
    """Epochs in which so many pictures are shown, at least one."""
    return max(1, round(shown / pictures))


def contest(
    sizes: Sequence[int],
    shown: int,
    device: torch.device,
    architectures: Mapping[str, Callable[[], nn.Module]] = ARCHITECTURES,
    data: vision.Data | None = None,
) -> list[dict[str, Any]]:
    """Train each architecture with more and more pictures.

    Parameters
    ----------
    sizes : sequence of int
        Pictures to learn from.
    shown : int
        Pictures shown in a training, the same ones again and again: so all
        trainings take about as many steps.

    Returns
    -------
    list of dict
        ``model``, ``pictures``, ``epochs``, ``accuracy`` on the validation
        part, ``seconds`` of training.
    """
    data = data or vision.load_data()
    rows = []
    for size in sizes:
        few = vision.Data(
            data.train[:size], data.validation[:0], data.test[:0]
        )
        epochs = passes(size, shown)
        for name, build in architectures.items():
            model = vision.seeded(build, 0)
            history = vision.train(
                model,
                few,
                epochs=epochs,
                batch_size=BATCH,
                learning_rate=RATE,
                device=device,
            )
            score = vision.evaluate(model, data.validation)
            rows.append(
                {
                    "model": name,
                    "pictures": size,
                    "epochs": epochs,
                    "accuracy": score.accuracy,
                    "seconds": history.seconds,
                }
            )
    return rows


def pictures_per_second(
    model: nn.Module, device: torch.device, batch: int
) -> Callable[[], torch.Tensor]:
    """Prepare a job: predict a batch; time it and divide."""
    model.to(device)
    images = torch.zeros(batch, 1, 28, 28, device=device)

    def job() -> torch.Tensor:
        with vision.evaluating(model):
            return model(images)

    return job
