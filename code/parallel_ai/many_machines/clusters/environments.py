"""What client and workers must have in common, and what differs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distributed import Client


def differences(client: Client) -> dict[str, dict[str, str]]:
    """Compare versions of client, scheduler and workers.

    Returns
    -------
    dict
        For each package that is not the same everywhere: version by place.
        Empty is what you want. Dask looks only at itself and what it
        pickles with; name your own packages in `client.get_versions`.
    """
    found: Any = client.get_versions()
    places: dict[str, Mapping[str, Any]] = {
        "client": found["client"]["packages"],
        "scheduler": found["scheduler"]["packages"],
    }
    for number, worker in enumerate(found["workers"].values()):
        places[f"worker {number}"] = worker["packages"]
    packages = {name for packages in places.values() for name in packages}
    table = {
        package: {
            place: str(packages.get(package))
            for place, packages in places.items()
        }
        for package in sorted(packages)
    }
    return {
        package: by_place
        for package, by_place in table.items()
        if len(set(by_place.values())) > 1
    }


def pretend_version(folder: Path, package: str, version: str) -> str:
    """Make a folder in which a package claims to have another version.

    A stand-in for a worker whose environment is older: a process that has
    the folder first in PYTHONPATH finds the claim before the truth.

    Returns
    -------
    str
        The folder, for PYTHONPATH.
    """
    claim = folder / f"{package}-{version}.dist-info"
    claim.mkdir()
    (claim / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
    )
    return str(folder)


def count_rows(path: str) -> int:
    """Count the lines of a file, wherever this runs."""
    with open(path, encoding="utf-8") as file:
        return sum(1 for _ in file)
