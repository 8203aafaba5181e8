"""Out of Python: TorchScript, torch.export and ONNX, each into one file."""

import hashlib
import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from parallel_ai.accelerators.looking_inside.counting import as_used

if TYPE_CHECKING:
    import onnx
    import onnxruntime

SEAL = ".sha256"


class ModelFileError(ValueError):
    """A model's file is not what was written; the message says what to do."""


def to_torchscript(
    model: nn.Module, example: torch.Tensor, path: Path, by: str = "trace"
) -> list[str]:
    """Write a TorchScript file, by tracing or by compiling the source.

    Returns
    -------
    list of str
        What PyTorch warned of, each text once.
    """
    with as_used(model), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if by == "trace":
            script = torch.jit.trace(model, example)
        else:
            script = torch.jit.script(model)
        torch.jit.save(script, path)
    texts = [f"{w.category.__name__}: {w.message}" for w in caught]
    return list(dict.fromkeys(texts))


def to_program(
    model: nn.Module,
    example: torch.Tensor,
    path: Path | None = None,
    any_batch: bool = True,
) -> torch.export.ExportedProgram:
    """Capture a model as a graph, and write it.

    Parameters
    ----------
    example : tensor, (n, …)
        Two pictures or more: 0 and 1 are sizes with rules of their own.
    any_batch : bool
        Whether the first dimension is left open.
    """
    shapes = ({0: torch.export.Dim("batch")},) if any_batch else None
    with as_used(model), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        program = torch.export.export(model, (example,), dynamic_shapes=shapes)
        if path:
            torch.export.save(program, path)
    return program


def to_onnx(
    model: nn.Module,
    example: torch.Tensor,
    path: Path,
    any_batch: bool = True,
    opset: int = 20,
) -> "onnx.ModelProto":
    """Capture a model, translate it to ONNX, and write it as one file.

    The exporter notes at each node where in your files it comes from. That
    is left out: it names folders of the machine that exported.

    Raises
    ------
    RuntimeError
        PyTorch gave no program.
    """
    import onnx

    shapes = ({0: torch.export.Dim("batch")},) if any_batch else None
    with as_used(model), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        translated = torch.onnx.export(
            model, (example,), dynamo=True, verbose=False,
            dynamic_shapes=shapes, opset_version=opset,
            input_names=["images"], output_names=["logits"],
        )  # fmt: skip
    if translated is None:
        raise RuntimeError("torch.onnx.export returned no program")
    proto = translated.model_proto
    for part in (*proto.graph.node, *proto.graph.value_info):
        del part.metadata_props[:]
    onnx.checker.check_model(proto, full_check=True)
    onnx.save(proto, path)
    return proto


def program_operations(program: torch.export.ExportedProgram) -> Counter[str]:
    """Count the operations of a captured graph, by name."""
    calls = [n for n in program.graph.nodes if n.op == "call_function"]
    return Counter(str(n.target).split(".")[1] for n in calls)


def onnx_operations(model: "onnx.ModelProto | Path") -> Counter[str]:
    """Count the operations of an ONNX graph, by name."""
    import onnx

    proto = onnx.load(model) if isinstance(model, Path) else model
    return Counter(node.op_type for node in proto.graph.node)


def session(
    path: Path, threads: int = 1, optimized: Path | None = None
) -> "onnxruntime.InferenceSession":
    """Load an ONNX file into ONNX Runtime, for the CPU.

    Parameters
    ----------
    optimized : path, optional
        Where to write the graph that the runtime makes of it.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if optimized:
        level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.graph_optimization_level = level
        options.optimized_model_filepath = str(optimized)
    return onnxruntime.InferenceSession(
        path, options, providers=["CPUExecutionProvider"]
    )


def seal(path: Path) -> str:
    """Write a file's checksum beside it."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_name(path.name + SEAL).write_text(f"{digest}  {path.name}\n")
    return digest


def sealed(path: Path) -> Path:
    """Give a file's path back if its bytes are those that were sealed.

    Raises
    ------
    ModelFileError
        The file or its checksum is missing, or they do not fit.
    """
    try:
        wanted = path.with_name(path.name + SEAL).read_text().split()[0]
        content = path.read_bytes()
    except (OSError, IndexError) as error:
        raise ModelFileError(
            f"{path.name} or its checksum {path.name}{SEAL} cannot be read "
            f"({type(error).__name__}). Export again, and seal."
        ) from error
    if hashlib.sha256(content).hexdigest() != wanted:
        raise ModelFileError(
            f"{path.name} has {len(content):,} bytes and another checksum "
            "than when it was written: cut short or changed. Copy it again."
        )
    return path
