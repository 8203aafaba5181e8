import math
import os
import subprocess
import sys
from pathlib import Path

import joblib
import psutil
import pytest

from parallel_ai.toolbox import machine


@pytest.fixture
def system(tmp_path, monkeypatch):
    """A made-up machine; call it with the files that it shall have."""
    monkeypatch.setattr(machine, "SYSTEM", tmp_path)
    monkeypatch.delenv("PARALLEL_AI_MEMORY", raising=False)

    def write(**files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    machine.cpu.cache_clear()
    yield lambda files: write(**files)
    machine.cpu.cache_clear()


ROOT = "sys/fs/cgroup"
GROUP = "proc/self/cgroup"


@pytest.mark.parametrize(
    ("files", "granted"),
    [
        ({}, math.inf),
        ({GROUP: "0::/\n", f"{ROOT}/cpu.max": "max 100000\n"}, math.inf),
        ({GROUP: "0::/\n", f"{ROOT}/cpu.max": "150000 100000\n"}, 1.5),
        ({GROUP: "0::/\n", f"{ROOT}/cpu.max": "50000\n"}, math.inf),
        (  # a group of its own, and a stricter one around it
            {
                GROUP: "0::/batch/job\n",
                f"{ROOT}/batch/job/cpu.max": "400000 100000",
                f"{ROOT}/batch/cpu.max": "200000 100000",
                f"{ROOT}/cpu.max": "max 100000",
            },
            2,
        ),
        (  # version 1
            {
                GROUP: "3:cpuset:/x\n2:cpu,cpuacct:/job\n",
                f"{ROOT}/cpu,cpuacct/job/cpu.cfs_quota_us": "250000",
                f"{ROOT}/cpu,cpuacct/job/cpu.cfs_period_us": "100000",
                f"{ROOT}/cpu,cpuacct/cpu.cfs_quota_us": "-1",
                f"{ROOT}/cpu,cpuacct/cpu.cfs_period_us": "100000",
            },
            2.5,
        ),
        (  # version 1 in a container, which shows the host's path
            {
                GROUP: "2:cpu:/docker/abc\n",
                f"{ROOT}/cpu/cpu.cfs_quota_us": "100000",
                f"{ROOT}/cpu/cpu.cfs_period_us": "100000",
            },
            1,
        ),
        (  # a namespace whose root lies elsewhere
            {GROUP: "0::/../other\n", f"{ROOT}/cpu.max": "300000 100000"},
            3,
        ),
    ],
)
def test_quota(system, files, granted):
    system(files)
    assert machine.quota() == granted


@pytest.mark.parametrize(
    ("affinity", "quota", "cpus"),
    [
        (8, math.inf, 8),
        (8, 1.5, 2),
        (8, 0.1, 1),
        (2, 6.0, 2),
        (1, math.inf, 1),
    ],
)
def test_cpus_is_the_least(monkeypatch, affinity, quota, cpus):
    monkeypatch.setattr(machine, "affinity", lambda: affinity)
    monkeypatch.setattr(machine, "quota", lambda: quota)
    assert machine.cpus() == cpus


def test_counts_agree_with_joblib_and_the_system():
    # loky reads only the outermost control group, we read all of them
    assert 1 <= machine.cpus() <= joblib.cpu_count()
    assert 1 <= machine.cores() <= os.cpu_count()


@pytest.mark.skipif(
    not hasattr(psutil.Process, "cpu_affinity"), reason="no affinity here"
)
def test_affinity_is_seen_in_a_child():
    script = (
        "import psutil; me = psutil.Process();"
        "me.cpu_affinity(me.cpu_affinity()[:1]);"
        "from parallel_ai.toolbox import machine;"
        "print(machine.affinity(), machine.cpus())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.split() == ["1", "1"]


@pytest.mark.parametrize(
    ("wanted", "size"),
    [
        ("2GB", 2_000_000_000),
        ("1.5 gb", 1_500_000_000),
        ("512MiB", 512 * 1024**2),
        ("1KiB", 1024),
        ("4096", 4096),
        ("100 kB", 100_000),
        ("3g", 3_000_000_000),
    ],
)
def test_memory_can_be_lowered(monkeypatch, wanted, size):
    monkeypatch.setenv("PARALLEL_AI_MEMORY", wanted)
    assert machine.memory_limit() == min(size, psutil.virtual_memory().total)
    assert machine.memory() <= size


@pytest.mark.parametrize("wanted", ["much", "2XB", "-1GB", "GB", "1,5GB"])
def test_nonsense_memory_is_an_error(monkeypatch, wanted):
    monkeypatch.setenv("PARALLEL_AI_MEMORY", wanted)
    with pytest.raises(ValueError, match="PARALLEL_AI_MEMORY"):
        machine.memory()


def test_memory_cannot_be_raised(monkeypatch):
    monkeypatch.setenv("PARALLEL_AI_MEMORY", "999TB")
    assert machine.memory_limit() <= psutil.virtual_memory().total


@pytest.mark.parametrize(
    "files",
    [
        {
            GROUP: "0::/job\n",
            f"{ROOT}/job/memory.max": "1000000",
            f"{ROOT}/job/memory.current": "700000",
            f"{ROOT}/job/memory.stat": "anon 1\ninactive_file 100000\n",
            f"{ROOT}/memory.max": "max",
            f"{ROOT}/memory.current": "900000",
        },
        {
            GROUP: "4:memory:/job\n",
            f"{ROOT}/memory/job/memory.limit_in_bytes": "1000000",
            f"{ROOT}/memory/job/memory.usage_in_bytes": "700000",
            f"{ROOT}/memory/job/memory.stat": (
                "inactive_file 5\ntotal_inactive_file 100000\n"
            ),
        },
    ],
    ids=["version 2", "version 1"],
)
def test_memory_in_a_container(system, files):
    system(files)
    assert machine.memory_limit() == 1_000_000
    assert machine.memory() == 400_000  # what is cached can be dropped


def test_a_container_over_its_limit_has_nothing_left(system):
    system(
        {
            GROUP: "0::/\n",
            f"{ROOT}/memory.max": "1000",
            f"{ROOT}/memory.current": "2000",
        }
    )
    assert machine.memory() == 0


def test_caches_of_a_made_up_core(system):
    folder = "sys/devices/system/cpu/cpu0/cache"
    for index, (level, kind, size) in enumerate(
        [
            ("1", "Data", "48K"),
            ("1", "Instruction", "32K"),
            ("2", "Unified", "2048K"),
            ("3", "Unified", "1G"),
        ]
    ):
        system(
            {
                f"{folder}/index{index}/level": level + "\n",
                f"{folder}/index{index}/type": kind + "\n",
                f"{folder}/index{index}/size": size + "\n",
            }
        )
    assert machine.caches() == {1: 48 << 10, 2: 2 << 20, 3: 1 << 30}


@pytest.mark.skipif(sys.platform != "linux", reason="others are asked else")
def test_a_system_that_tells_nothing_has_no_caches(system):
    assert machine.caches() == {}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (
            "processor: 0\nmodel name\t: Fast   CPU @ 9 GHz\n",
            "Fast CPU @ 9 GHz",
        ),
        ("processor: 0\nModel\t\t: Raspberry Pi 5\n", "Raspberry Pi 5"),
    ],
)
def test_name_of_the_processor(system, text, name):
    system({"proc/cpuinfo": text})
    assert machine.cpu() == name


def test_name_of_the_processor_elsewhere(system, monkeypatch):
    monkeypatch.setattr(machine, "_cpu_info", lambda: {"brand_raw": "M9"})
    assert machine.cpu() == "M9"
    machine.cpu.cache_clear()
    monkeypatch.setattr(machine, "_cpu_info", dict)
    assert machine.cpu() != ""


def test_description_is_json():
    import json

    told = json.loads(json.dumps(machine.describe()))
    assert set(told) == {
        "cpu", "cpus", "cores", "memory", "system", "python",
    }  # fmt: skip
    assert told["cpus"] == machine.cpus()


def test_import_is_cheap():
    """The foot of every page asks this module."""
    script = (
        "import sys, parallel_ai.toolbox.machine;"
        "print(*{'numpy', 'cpuinfo', 'joblib', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == []


def test_a_file_that_cannot_be_read_says_nothing(system):
    system({"proc/cpuinfo/folder": ""})
    assert machine._read(Path(machine.SYSTEM / "proc/cpuinfo")) == ""
