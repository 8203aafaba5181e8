"""Three architectures: where an MLP, a CNN and a transformer spend time.

The claim: operations and bytes of each layer follow from its shapes, the
roofs of the machine say which of them decides, and attention's memory, not
its arithmetic, is what tiles do away with. All of it, on your device::

    python -m parallel_ai.toolbox.records architectures
"""

from parallel_ai.accelerators.architectures.attention import (
    TILE,
    WAYS,
    Tiled,
    attention_careful,
    attention_fused,
    attention_naive,
    attention_tiled,
    naive_bytes,
)
from parallel_ai.accelerators.architectures.costs import (
    Layer,
    attention_products,
    convolution_products,
    dense_products,
    forward_products,
    layers,
    products,
    training_products,
)
from parallel_ai.accelerators.architectures.growth import (
    BEYOND,
    HEADS,
    LENGTHS,
    NEAR,
    WIDTH,
    bytes_by_length,
    compare_attention,
    fit_square,
    heads_of_noise,
    product_rate,
    reading_rate,
    record,
    times_by_length,
)
from parallel_ai.accelerators.architectures.practice import (
    causal,
    longest,
    merge,
)
from parallel_ai.accelerators.architectures.profiles import (
    KINDS,
    a_pass,
    by_kind,
    highest,
    kind_of,
    peak_bytes,
    profiled,
    saved_bytes,
)
from parallel_ai.accelerators.architectures.trainings import (
    contest,
    passes,
    pictures_per_second,
)
from parallel_ai.accelerators.architectures.traps import (
    attention_down,
    attention_unscaled,
    patches_shuffled,
    sharpness,
    softmax_plain,
    softmax_shifted,
)
from parallel_ai.accelerators.architectures.vit import (
    ARCHITECTURES,
    Block,
    Mix,
    MultiHead,
    VisionTransformer,
    patches,
    vit,
)

__all__ = [
    "ARCHITECTURES",
    "BEYOND",
    "HEADS",
    "KINDS",
    "LENGTHS",
    "NEAR",
    "TILE",
    "WAYS",
    "WIDTH",
    "Block",
    "Layer",
    "Mix",
    "MultiHead",
    "Tiled",
    "VisionTransformer",
    "a_pass",
    "attention_careful",
    "attention_down",
    "attention_fused",
    "attention_naive",
    "attention_products",
    "attention_tiled",
    "attention_unscaled",
    "by_kind",
    "bytes_by_length",
    "causal",
    "compare_attention",
    "contest",
    "convolution_products",
    "dense_products",
    "fit_square",
    "forward_products",
    "heads_of_noise",
    "highest",
    "kind_of",
    "layers",
    "longest",
    "merge",
    "naive_bytes",
    "passes",
    "patches",
    "patches_shuffled",
    "peak_bytes",
    "pictures_per_second",
    "product_rate",
    "products",
    "profiled",
    "reading_rate",
    "record",
    "saved_bytes",
    "sharpness",
    "softmax_plain",
    "softmax_shifted",
    "times_by_length",
    "training_products",
    "vit",
]

COMPARISONS = {"attention over 2,048 tokens": compare_attention}
RECORDS = {"architectures": record}
