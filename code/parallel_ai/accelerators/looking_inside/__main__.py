"""Commands of the chapter on looking inside.

python -m parallel_ai.accelerators.looking_inside time cnn.onnx 1 256
python -m parallel_ai.accelerators.looking_inside open model.onnx
python -m parallel_ai.accelerators.looking_inside picture
"""

import argparse
import json
import tempfile
from io import BytesIO
from pathlib import Path

import torch
from PIL import Image

from parallel_ai.accelerators import vision
from parallel_ai.accelerators.looking_inside.exporting import to_onnx
from parallel_ai.accelerators.looking_inside.inference import time_batch
from parallel_ai.accelerators.looking_inside.viewer import (
    photographed,
    served,
)

FIGURES = Path("book/accelerators/figures")


def _draw(folder: Path) -> None:
    """Take the chapter's picture of Netron again, from the repository.

    Netron writes 〈 (U+3008): a font that has it must be installed, such as
    Debian's fonts-wqy-zenhei.
    """
    with tempfile.TemporaryDirectory() as place:
        file = Path(place, "cnn.onnx")
        model = vision.seeded(vision.cnn, 0)
        with torch.no_grad():  # running means as after a training, not zero
            model(torch.randn(64, 1, 28, 28))
        to_onnx(model, torch.zeros(2, 1, 28, 28), file)
        picture = photographed(file)
    window = folder / "looking_inside_netron.webp"
    # What it shows, as text inside: a test compares it with a new export.
    shown = json.dumps(picture.labels).encode()
    Image.open(BytesIO(picture.png)).save(
        window, quality=80, method=6, xmp=shown
    )
    print(window)


def _open(file: Path) -> None:
    """Show a file in Netron until Ctrl-C."""
    with served(file) as address:
        print(f"{file} is at {address}; Enter or Ctrl-C ends it.", flush=True)
        try:
            input()
        except (EOFError, KeyboardInterrupt):
            print("closed")


def _main() -> None:
    """Run one of the commands."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    timing = commands.add_parser("time", help="time sizes of batches")
    timing.add_argument("file", type=Path)
    timing.add_argument("batches", nargs="+", type=int)
    show = commands.add_parser("open", help="show a file in Netron")
    show.add_argument("file", type=Path)
    drawing = commands.add_parser("picture", help="take the page's picture")
    drawing.add_argument("--folder", type=Path, default=FIGURES)
    wanted = parser.parse_args()
    if wanted.command == "time":
        rows = [time_batch(size, wanted.file) for size in wanted.batches]
        print(json.dumps(rows))
    elif wanted.command == "open":
        _open(wanted.file)
    else:
        _draw(wanted.folder)


if __name__ == "__main__":
    _main()
