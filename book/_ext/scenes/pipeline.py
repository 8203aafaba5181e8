"""Who computes what when in a pipeline, and how long it idles."""

from __future__ import annotations

from drawn import Scene, axis, names, percent, three
from scenes.figure import Figure, Input, Unsuitable, box

SCHEDULES = ("GPipe", "1F1B", "1F1B, interleaved")


def scene(
    schedule: str, devices: int, micros: int, backward: float, link: float
) -> Scene:
    """Draw the timeline of each device."""
    from parallel_ai.training import model_parallel as mp

    if schedule == "1F1B, interleaved" and micros % devices:
        raise Unsuitable(
            f"Interleaved, micro-batches go in groups of {devices}, as many as"
            f" there are devices: {micros} is no multiple of that."
        )
    chunks = 2 if schedule == "1F1B, interleaved" else 1
    orders = {
        "GPipe": lambda: mp.gpipe(devices, micros),
        "1F1B": lambda: mp.one_f_one_b(devices, micros),
        "1F1B, interleaved": lambda: mp.interleaved(devices, micros, chunks),
    }[schedule]()
    stages = devices * chunks
    spans = mp.simulate(
        orders, [1 / chunks] * stages, [backward / chunks] * stages, link
    )
    end = max(span.stop for span in spans)
    idle = mp.bubble(spans)
    ideal = mp.bubble_formula(devices, micros, chunks)
    held = [mp.held(order) / chunks for order in orders]
    looks = {("F", 0): "a", ("F", 1): "e", ("B", 0): "b", ("B", 1): "d"}
    marks = [
        box(looks[span.task.kind, span.task.stage // devices],
            (span.start, span.stop), (span.device + 0.1, span.device + 0.9),
            str(span.task.micro))
        for span in spans
    ]  # fmt: skip
    said = (
        f"{schedule}, {devices} devices, {micros} micro-batches:"
        f" {three(end)} forward passes long, {percent(idle)} of it idle"
        f" ({percent(ideal)} by the formula, for links that take no time)."
        f" The first device holds the activations of at most {three(held[0])}"
        f" micro-batches, the last of {three(held[-1])}."
    )
    rows = []
    for device in range(devices):
        own = [span for span in spans if span.device == device]
        busy = sum(span.stop - span.start for span in own)
        rows.append([
            f"device {device}", three(own[0].start), three(own[-1].stop),
            percent(1 - busy / end), three(held[device]),
        ])  # fmt: skip
    down = names("device", [str(device) for device in range(devices)])
    return {
        "alt": f"A timeline of {devices} lanes, one a device. Boxes with the"
        " number of a micro-batch are its forward and backward passes; gaps"
        " are idle time.",
        "said": said,
        "head": ["device", "starts", "ends", "idle", "micro-batches held"],
        "rows": rows,
        "height": 340,
        "x": axis("time, in forward passes", end),
        "y": {**down, "down": True, "bare": True},
        "legend": [
            ["a", "box", "forward"],
            ["b", "box", "backward"],
            ["e", "box", "forward, second chunk"],
            ["d", "box", "backward, second chunk"],
        ],
        "marks": marks,
    }


FIGURE = Figure(
    title="pipelines and their bubbles",
    inputs=(
        Input("schedule", "Schedule", "1F1B", "choice", SCHEDULES),
        Input("devices", "Devices", 4, options=(2, 3, 4, 5, 6, 8)),
        Input("micros", "Micro-batches", 8, options=(
            1, 2, 3, 4, 6, 8, 10, 12, 16, 24)),
        Input("backward", "Backward pass, in forward passes", 2.0,
              options=(0.5, 1.0, 1.5, 2.0, 2.5, 3.0)),
        Input("link", "From stage to stage, in forward passes", 0.0,
              options=(0.0, 0.1, 0.2, 0.5, 1.0)),
    ),
    scene=scene,
    functions=tuple(
        f"training.model_parallel.{name}"
        for name in ("gpipe", "one_f_one_b", "interleaved", "simulate",
                     "bubble", "bubble_formula", "held")
    ),
    code="""
from parallel_ai.training.model_parallel import (
    bubble, bubble_formula, gpipe, held, one_f_one_b, simulate
)

devices, micros = {devices}, {micros}
for schedule in (gpipe, one_f_one_b):
    orders = schedule(devices, micros)
    spans = simulate(orders, [1.0] * devices, [{backward}] * devices, {link})
    most = [held(order) for order in orders]
    print(schedule.__name__, f"idle {{bubble(spans):.3f}}, holds", most)
print("formula", bubble_formula(devices, micros))
""",
)  # fmt: skip
