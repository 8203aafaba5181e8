"""What a training needs on each device, stage by stage of ZeRO."""

from __future__ import annotations

from drawn import Scene, axis, many, names, si, three
from scenes.figure import Figure, Input, box, rule

GIGA = 1e9
PRECISIONS = (
    "fp32", "bf16, fp32 master", "bf16 alone", "bf16, 8-bit states"
)  # fmt: skip
OPTIMIZERS = ("SGD", "momentum", "Adam")
KINDS = ("parameters", "gradients", "states", "working", "activations")


def scene(
    count: int,
    precision: str,
    optimizer: str,
    ranks: int,
    layers: int,
    activations: float,
    device: float,
) -> Scene:
    """Draw the bytes of each kind, for the four stages."""
    from parallel_ai.training import memory

    needs = [
        memory.need(
            count, ranks, stage, precision, optimizer,
            unit=count // layers, activations=round(activations * GIGA),
        )
        for stage in memory.STAGES
    ]  # fmt: skip
    marks, rows, fits = [], [], []
    for stage, need in enumerate(needs):
        parts = [
            need.rest.parameters, need.rest.gradients, need.rest.states,
            need.working, need.rest.activations,
        ]  # fmt: skip
        left = 0.0
        for look, kind, size in zip("abcde", KINDS, parts, strict=True):
            right = left + size / GIGA
            if size:
                marks.append(
                    box(look, (left, right), (stage + 0.15, stage + 0.85),
                        kind)
                )  # fmt: skip
            left = right
        enough = need.total <= device * GIGA
        if enough:
            fits.append(str(stage))
        rows.append([
            f"stage {stage}", *(si(size, "B") for size in parts),
            si(need.total, "B"), "yes" if enough else "no",
        ])  # fmt: skip
    marks.append(rule("e", device, f"device {three(device)} GB"))
    end = 1.05 * max(device, *(need.total / GIGA for need in needs))
    verdict = (
        f"It fits a device of {three(device)} GB in these stages: {', '.join(fits)}."
        if fits
        else f"It fits a device of {three(device)} GB in no stage."
    )
    said = (
        f"{many(count)} parameters, {precision}, {optimizer}, devices: {ranks}."
        f" Each needs {si(needs[0].total, 'B')} in stage 0"
        f" and {si(needs[3].total, 'B')} in stage 3. {verdict}"
    )
    stages = [f"stage {stage}" for stage in memory.STAGES]
    return {
        "alt": "Four bars, one for each stage of ZeRO, of the bytes that a"
        " device needs for parameters, gradients, states, what is gathered for"
        " a moment and activations; a line marks what the device has.",
        "said": said,
        "head": ["stage", *KINDS, "together", "fits"],
        "rows": rows,
        "height": 300,
        "x": axis("GB on each device", end),
        "y": {**names("", stages), "down": True, "bare": True},
        "legend": [
            [look, "box", kind]
            for look, kind in zip("abcde", KINDS, strict=True)
        ],
        "marks": marks,
    }


FIGURE = Figure(
    title="will it fit?",
    inputs=(
        Input("count", "Parameters", 7_000_000_000, options=tuple(
            int(n * 10**k) for k in (6, 7, 8, 9, 10, 11)
            for n in (1, 2, 3, 5, 7)) + (10**12,),
            text=many),
        Input("precision", "Precision", PRECISIONS[1], "choice", PRECISIONS),
        Input("optimizer", "Optimizer", "Adam", "choice", OPTIMIZERS),
        Input("ranks", "Devices", 8, options=tuple(
            2**k for k in range(13))),
        Input("layers", "Layers, each gathered at once", 32, options=(
            1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128)),
        Input("activations", "Activations on each device, GB", 10.0,
              "number", most=1e6),
        Input("device", "Memory of a device, GB", 80.0, "number",
              least=0.001, most=1e6),
    ),
    scene=scene,
    functions=tuple(
        f"training.memory.{name}"
        for name in ("Precision", "training_bytes", "Need", "need")
    ),
    code="""
from parallel_ai.training.memory import STAGES, need

for stage in STAGES:
    one = need(
        {count}, {ranks}, stage, {precision}, {optimizer},
        unit={count} // {layers}, activations=round({activations} * 1e9),
    )
    print(f"stage {{stage}}: {{one.total / 1e9:.1f}} GB of {device}")
""",
)  # fmt: skip
