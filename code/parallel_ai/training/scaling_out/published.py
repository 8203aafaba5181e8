"""What others have measured and printed, and forecasts of it.

Each number has its place. What is ours is called an assumption.
"""

from dataclasses import dataclass

import torch

from parallel_ai.training.collectives import Link
from parallel_ai.training.scaling_out.overlap import Layer, Work
from parallel_ai.training.scaling_out.wires import WAYS, Fabric, step_time

GBIT = 1e9 / 8  # bytes
FREE = Link(0.0, 0.0)
ALPHAS = (5e-6, 20e-6, 60e-6)  # assumed: the papers print no latency


@dataclass(frozen=True)
class Source:
    """A published training: what goes in, and what came out there.

    Attributes
    ----------
    step : float
        Seconds of a step at the baseline, with everything in it.
    backward : float
        Seconds of it in which gradients appear.
    baseline : int
        Ranks at which the step was measured.
    bandwidth : float
        Bytes a second that all cards of a node carry together.
    way : str
        How its library adds up: one of `WAYS`.
    found : dict of int to float
        Efficiency against the baseline, by ranks.
    """

    model: str
    pixels: int
    step: float
    backward: float
    baseline: int
    per_node: int
    inside: Link
    bandwidth: float
    way: str
    found: dict[int, float]

    def fabric(self, alpha: float) -> Fabric:
        """Give nodes and links, with an assumed latency between nodes."""
        return Fabric(
            self.inside, Link(alpha, 1 / self.bandwidth), self.per_node
        )

    def forecast(self, size: int, alpha: float, work: Work) -> float:
        """Forecast the efficiency of so many ranks against the baseline."""
        fabric, way = self.fabric(alpha), WAYS[self.way]
        base = step_time(work, self.baseline, fabric, way)
        return base / step_time(work, size, fabric, way)

    def work(self) -> Work:
        """Spread the step over the layers of the model."""
        return spread(self.model, self.pixels, self.step, self.backward)


def spread(model: str, pixels: int, step: float, backward: float) -> Work:
    """Share out seconds among layers, as their products are shared out.

    Of the rest of the step, half the backward pass is taken to be the
    forward pass, and what is still left the update. Nothing is computed.

    Parameters
    ----------
    model : str
        As torchvision calls it.
    pixels : int
        Height and width of an image.
    """
    import torchvision  # here: ranks, which need neither, have less memory

    from parallel_ai.accelerators import architectures

    with torch.device("meta"):
        more = {"init_weights": False} if model == "inception_v3" else {}
        build = torchvision.models.get_model(model, **more)
        each = architectures.layers(build, torch.zeros(1, 3, pixels, pixels))
    total = sum(one.products for one in each)
    forward = min(backward / 2, step - backward)
    layers = tuple(
        Layer(
            forward * one.products / total,
            backward * one.products / total,
            one.weights,
        )
        for one in each
    )
    return Work(layers, step - backward - forward)


# Goyal et al. 2017. 4.3: 8 P100 and one card of 50 Gbit/s a server, backprop
# 120 ms. 5.5: 352 GPUs need 12 % more time for a step than 8 (figure 7), and
# about 30 s for an epoch of 1.28 million images, in steps of 11,264; the
# step of 8 GPUs follows. Figure 8: about 90 %. What happens inside a server
# is in that step already.
GOYAL = Source(
    "resnet50", 224, 30 / (1_281_167 / 11_264) / 1.12, 0.120, 8, 8, FREE,
    50 * GBIT, "halving", {256: 0.90, 352: 1 / 1.12},
)  # fmt: skip

# Horovod's documentation: 4 Pascal GPUs and 25 Gbit/s a server, 128 and 512
# GPUs, batches of 64. TensorFlow's performance page of 2017: one P100,
# synthetic data, 142 and 154 images a second.
HOROVOD = {
    "inception_v3": Source(
        "inception_v3", 299, 64 / 142, 2 / 3 * 64 / 142, 1, 4, FREE,
        25 * GBIT, "flat ring", {128: 0.90, 512: 0.90},
    ),
    "vgg16": Source(
        "vgg16", 224, 64 / 154, 2 / 3 * 64 / 154, 1, 4, FREE,
        25 * GBIT, "flat ring", {128: 0.79, 512: 0.68},
    ),
}  # fmt: skip

# PyTorch, benchmarks/distributed/ddp/README.md: seconds of a step, median,
# batch 32, buckets of 25 MiB, by GPUs; 8 V100 and 4 x 100 Gbit/s InfiniBand
# a node. NVLink: 6 x 25 GB/s, of which a ring is assumed to use all.
NVLINK_V100 = Link(5e-6, 1 / 150e9)
DDP_SECONDS = {
    "resnet50": {1: 0.100, 2: 0.103, 4: 0.103, 8: 0.104, 16: 0.104},
    "resnet101": {1: 0.171, 2: 0.176, 4: 0.176, 8: 0.179, 16: 0.179},
    "resnext50_32x4d": {1: 0.147, 2: 0.153, 4: 0.153, 8: 0.157, 16: 0.157},
    "resnext101_32x8d": {1: 0.425, 2: 0.438, 4: 0.439, 8: 0.447, 16: 0.450},
}
PYTORCH = {
    model: Source(
        model, 224, by[1], 2 / 3 * by[1], 1, 8, NVLINK_V100, 400 * GBIT,
        "flat ring",
        {size: by[1] / seconds for size, seconds in by.items() if size > 1},
    )
    for model, by in DDP_SECONDS.items()
}  # fmt: skip

# Li et al. 2020, abstract: "near-linear" with 256 GPUs. Its section 5.3 has,
# as we remember it (it could not be opened here), ResNet-50 over NCCL in a
# shared cluster at half of the ideal with 256 GPUs: 8 V100 and 100 Gbit/s a
# server. The step is PyTorch's above.
LI = Source(
    "resnet50", 224, 0.100, 2 / 3 * 0.100, 1, 8, NVLINK_V100, 100 * GBIT,
    "flat ring", {256: 0.5},
)  # fmt: skip

# Kirmer (Saturn Cloud): images a second, by GPUs. Data loading limits.
SATURN = {1: 72.0, 4: 263.0, 7: 306.0, 10: 369.0}

# Grattafiori et al. 2024, section 3.3.4.
LLAMA = {"interruptions": 419, "days": 54, "ranks": 16_384}

# Goyal et al. 2017, figure 3: top-1 error in per cent, by batch.
GOYAL_ERRORS = {
    256: 23.60, 512: 23.48, 1024: 23.53, 2048: 23.49, 4096: 23.56,
    8192: 23.74, 16384: 24.79, 32768: 27.55, 65536: 33.96,
}  # fmt: skip
