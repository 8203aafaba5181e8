"""Looking inside: what a model holds, does and becomes outside of Python.

The claim: hooks show every layer without a change to the model, and a model
exported by TorchScript, `torch.export` or ONNX gives another process the
same answers for every size of batch. A file in Netron::

    python -m parallel_ai.accelerators.looking_inside open model.onnx
"""

from parallel_ai.accelerators.looking_inside.activations import (
    alike,
    dead_units,
    feature_maps,
    gradient_norms,
    saliency,
)
from parallel_ai.accelerators.looking_inside.counting import (
    Attending,
    Layer,
    Scaled,
    Twice,
    as_used,
    hooked,
    layers,
    leaves,
    multiply_adds,
    products,
    torchinfos_table,
    torchsummarys_count,
)
from parallel_ai.accelerators.looking_inside.exporting import (
    ModelFileError,
    onnx_operations,
    program_operations,
    seal,
    sealed,
    session,
    to_onnx,
    to_program,
    to_torchscript,
)
from parallel_ai.accelerators.looking_inside.inference import (
    best_rate,
    compare_inference,
    compiled,
    drawn,
    eager_and_runtime,
    on_device,
    record,
    time_batch,
    time_elsewhere,
)
from parallel_ai.accelerators.looking_inside.pitfalls import (
    BothBranches,
    Branching,
    Curious,
    Remembering,
    flip_bit,
    hooks_on,
)
from parallel_ai.accelerators.looking_inside.practice import (
    fold,
    receptive_field,
    same_answers,
)
from parallel_ai.accelerators.looking_inside.readers import (
    Elsewhere,
    answer_all,
    elsewhere,
    read_onnx,
    read_program,
    read_torchscript,
    read_weights,
)
from parallel_ai.accelerators.looking_inside.viewer import (
    NotInstalledError,
    Picture,
    backward_graph,
    photographed,
    served,
)

__all__ = [
    "Attending",
    "BothBranches",
    "Branching",
    "Curious",
    "Elsewhere",
    "Layer",
    "ModelFileError",
    "NotInstalledError",
    "Picture",
    "Remembering",
    "Scaled",
    "Twice",
    "alike",
    "answer_all",
    "as_used",
    "backward_graph",
    "best_rate",
    "compare_inference",
    "compiled",
    "dead_units",
    "eager_and_runtime",
    "elsewhere",
    "feature_maps",
    "flip_bit",
    "fold",
    "gradient_norms",
    "hooked",
    "hooks_on",
    "layers",
    "leaves",
    "multiply_adds",
    "on_device",
    "onnx_operations",
    "photographed",
    "products",
    "program_operations",
    "read_onnx",
    "read_program",
    "read_torchscript",
    "read_weights",
    "receptive_field",
    "record",
    "saliency",
    "same_answers",
    "seal",
    "sealed",
    "served",
    "session",
    "time_batch",
    "time_elsewhere",
    "to_onnx",
    "to_program",
    "to_torchscript",
    "torchinfos_table",
    "torchsummarys_count",
]

COMPARISONS = {
    "one picture through the CNN": compare_inference,
    "256 pictures through the CNN": lambda: compare_inference(256),
}
RECORDS = {"looking-inside": record}
CURVES = {"looking-inside": drawn}
