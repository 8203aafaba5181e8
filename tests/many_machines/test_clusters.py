"""Clusters: real ones, private, guarded, and gone afterwards."""

import asyncio
import contextlib
import datetime
import ipaddress
import itertools
import math
import os
import runpy
import signal
import stat
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import asyncssh
import dask
import numpy as np
import psutil
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from distributed import Client, LocalCluster
from distributed.security import Security
from hypothesis import given
from hypothesis import strategies as st

from parallel_ai.many_machines import clusters
from parallel_ai.many_machines.clusters import (
    comparing,
    networks,
    practice,
    queues,
    recording,
)
from parallel_ai.one_machine.loops import delay_interval
from parallel_ai.toolbox import cluster
from parallel_ai.toolbox.exercises import EXERCISES, verdict

PACKAGE = clusters.__name__
HERE = cluster.LOOPBACK
LIMIT = 60  # seconds

needs_sshd = pytest.mark.skipif(
    not clusters.sshd_program(), reason="no sshd: apt install openssh-server"
)
needs_hosts = pytest.mark.skipif(
    bool(clusters.forbidden()),
    reason=f"no network namespaces: {clusters.forbidden()}",
)
needs_slurm = pytest.mark.skipif(
    bool(clusters.no_slurm()), reason=f"no SLURM: {clusters.no_slurm()}"
)


@pytest.fixture(scope="module")
def papers(tmp_path_factory):
    """Certificates of the cluster that most tests share."""
    return clusters.secure(tmp_path_factory.mktemp("papers"))


@pytest.fixture(scope="module")
def guarded(papers, tmp_path_factory):
    """A scheduler and two workers as processes, with TLS, in a far folder."""
    far = tmp_path_factory.mktemp("far")
    with clusters.processes(2, papers, folder=far) as running:
        yield running


@pytest.fixture(scope="module")
def client(guarded):
    with clusters.client_of(guarded) as connected:
        connected.wait_for_workers(2, timeout=LIMIT)
        yield connected


@pytest.fixture(scope="module")
def open_house():
    """A scheduler without TLS and without workers."""
    with clusters.processes(0) as running:
        yield running


@pytest.fixture
def months(tmp_path):
    """Small files in the flights' format."""
    paths = []
    for month in range(3):
        path = tmp_path / f"{month}.csv"
        delays = np.random.default_rng(month).normal(5, 20, 50).round()
        path.write_text("dep_delay\n" + "\n".join(map(str, delays)))
        paths.append(str(path))
    return paths


def gone(pids, seconds=10):
    """Wait until processes have ended, and say whether they have."""
    left = [psutil.Process(p) for p in pids if psutil.pid_exists(p)]
    return not psutil.wait_procs(left, timeout=seconds)[1]


def everybody(running):
    return [running.scheduler.pid, *(w.pid for w in running.workers)]


def lent(what):
    """Stand in for starting something: what runs already, for a block."""
    return contextlib.nullcontext(what)


# Which cluster


SATURN = {"SATURN_BASE_URL": "https://saturn.invalid", "SATURN_TOKEN": "t"}


@pytest.fixture
def no_jobqueue():
    """Dask's configuration as if nobody had written a jobqueue.yaml."""
    with dask.config.set(
        {"jobqueue.slurm.cores": None, "jobqueue.slurm.memory": None}
    ):
        yield


def test_without_anything_it_is_this_machine(no_jobqueue):
    choice = clusters.choose(environment={})
    assert (choice.kind, choice.hosts, choice.passed) == ("local", (), ())


def test_the_environment_names_a_scheduler():
    choice = clusters.choose(
        environment={"DASK_SCHEDULER_ADDRESS": "tls://h:1", **SATURN}
    )
    assert (choice.kind, choice.hosts) == ("address", ("tls://h:1",))
    assert "DASK_SCHEDULER_ADDRESS" in str(choice)


@pytest.mark.parametrize("text", ["a b c", "a,b,c", " a, b  c,"])
def test_the_environment_names_hosts(text):
    choice = clusters.choose(environment={"CLUSTER_HOSTS": text})
    assert (choice.kind, choice.hosts) == ("ssh", ("a", "b", "c"))


@pytest.mark.parametrize("left_out", [None, *SATURN])
def test_saturn_needs_its_package_address_and_token(monkeypatch, left_out):
    monkeypatch.setitem(
        sys.modules,
        "dask_saturn",
        SimpleNamespace(__spec__=SimpleNamespace(name="dask_saturn")),
    )
    environment = {n: v for n, v in SATURN.items() if n != left_out}
    choice = clusters.choose(environment=environment)
    if left_out is None:
        assert choice.kind == "saturn"
    else:
        assert choice.kind == "local"
        assert f"not saturn: without ${left_out}" in str(choice)


def test_a_missing_package_is_named():
    choice = clusters.choose(environment=SATURN)
    assert choice.kind == "local"
    assert "dask-saturn" in choice.passed[0]


def test_slurm_needs_sbatch_and_what_to_ask_for(tmp_path, no_jobqueue):
    sbatch = tmp_path / "sbatch"
    sbatch.write_text("#!/bin/sh\n")
    sbatch.chmod(0o755)
    environment = {"PATH": str(tmp_path)}
    choice = clusters.choose(environment=environment)
    assert choice.kind == "local"
    assert "jobqueue.slurm.cores" in choice.passed[0]
    asked = {"jobqueue.slurm.cores": 4, "jobqueue.slurm.memory": "8GB"}
    with dask.config.set(asked):
        assert clusters.choose(environment=environment).kind == "slurm"
        assert clusters.choose(environment={"PATH": ""}).kind == "local"


@pytest.mark.parametrize(
    ("asked", "kind"),
    [
        ({"address": "tcp://h:1"}, "address"),
        ({"hosts": ["a", "b"]}, "ssh"),
        ({"slurm": {"cores": 1}}, "slurm"),
        ({"slurm": {}}, "slurm"),
    ],
)
def test_arguments_win_over_the_environment(asked, kind):
    environment = {"DASK_SCHEDULER_ADDRESS": "tls://other:1"}
    assert clusters.choose(**asked, environment=environment).kind == kind


def test_two_wishes_are_an_error():
    with pytest.raises(ValueError, match="address and hosts"):
        clusters.choose("tcp://h:1", ["a"])


def test_the_program_is_the_same_everywhere(months, client, no_jobqueue):
    """Here on a local cluster and on processes with TLS."""
    expected = [delay_interval(path) for path in months]
    said = []
    with clusters.connect(workers=1, say=said.append) as local:
        assert local.scheduler.address.startswith("tcp://127.0.0.1")
        got = clusters.survey(local, months)
    assert said[0].startswith("local")
    assert np.array_equal(got, expected)
    assert np.array_equal(clusters.survey(client, months), expected)
    assert clusters.survey(client, []) == []


def test_an_address_in_the_environment(monkeypatch, guarded, papers):
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", guarded.address)
    said = []
    with clusters.connect(
        security=papers, workers=2, say=said.append
    ) as connected:
        assert connected.submit(abs, -3).result(LIMIT) == 3
    assert said[0].startswith("address")
    assert guarded.scheduler.poll() is None  # what ran before goes on


def test_certificates_may_come_from_dasks_configuration(guarded, papers):
    settings = clusters.as_configuration(papers)
    with (
        dask.config.set(settings),
        clusters.open_address(guarded.address) as connected,
    ):
        assert connected.submit(abs, -3).result(LIMIT) == 3


def test_too_few_workers_are_an_error(monkeypatch, open_house):
    monkeypatch.setattr(cluster, "SECONDS", 0.2)
    with (
        pytest.raises(TimeoutError),
        clusters.connect(open_house.address, workers=1, say=str),
    ):
        pass


def test_an_address_where_nobody_is():
    address = f"tcp://{HERE}:{clusters.free_port()}"
    with (
        pytest.raises(ConnectionError, match=f"{address}.*firewall"),
        clusters.open_address(address, timeout=0.3),
    ):
        pass


def test_saturns_cluster_is_ended_with_the_block(monkeypatch):
    """A stand-in for the service: it says what it was asked."""
    asked = {}

    def started(n_workers, shutdown_on_close):
        asked.update(workers=n_workers, ends=shutdown_on_close)
        return LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            host=HERE,
            dashboard_address=f"{HERE}:0",
            scheduler_kwargs={"dashboard": False},
        )

    stand_in = SimpleNamespace(
        SaturnCluster=started, __spec__=SimpleNamespace(name="dask_saturn")
    )
    monkeypatch.setitem(sys.modules, "dask_saturn", stand_in)
    for name, value in SATURN.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    with clusters.connect(workers=1, say=str) as connected:
        pids = connected.run(os.getpid).values()
        assert connected.submit(abs, -1).result(LIMIT) == 1
    for name in os.environ.keys() - before.keys():  # Dask's, for its workers
        del os.environ[name]
    assert asked == {"workers": 1, "ends": True}
    assert gone(pids)


# By hand


def test_each_worker_is_a_process_of_its_own(guarded, client):
    pids = set(client.run(os.getpid).values())
    assert pids == {worker.pid for worker in guarded.workers}
    assert client.run_on_scheduler(os.getpid) == guarded.scheduler.pid


def test_nothing_listens_beyond_loopback(guarded, client, open_house):
    pids = everybody(guarded) + everybody(open_house)
    found = clusters.listeners(pids)
    assert len(found) >= 4
    assert clusters.beyond_loopback(host for host, _ in found) == []
    assert len({port for _, port in found}) == len(found)


def test_commands_listen_where_they_are_told(papers, tmp_path):
    for command in (
        clusters.scheduler_command(papers, tmp_path / "f", "10.77.0.2"),
        clusters.worker_command(papers, "tls://x:1", tmp_path, "10.77.0.2"),
    ):
        options = dict(itertools.pairwise(command))
        assert options["--host"] == "tls://10.77.0.2"
        assert options["--dashboard-address"] == "10.77.0.2:0"
        assert Path(options["--tls-key"]).exists()
    assert clusters.security_flags(None, "worker") == []


def test_everything_ends_by_an_error_too():
    pids = []

    def fail():
        with clusters.processes(1) as running:
            pids.extend(everybody(running))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert len(pids) == 2
    assert gone(pids)


def test_a_scheduler_that_does_not_start_says_why():
    with (
        pytest.raises(RuntimeError, match="No such option|no such option"),
        clusters.processes(0, scheduler_flags=["--no-such-option=1"]),
    ):
        pass


def test_a_process_that_does_not_want_to_end_is_killed(monkeypatch):
    monkeypatch.setattr(clusters.by_hand, "GRACE", 0.5)
    stubborn = (
        "import signal, subprocess, sys\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'input()'],"
        " stdin=subprocess.PIPE)\n"
        "print(child.pid, flush=True)\n"
        "child.wait()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", stubborn], stdout=subprocess.PIPE
    )
    with process.stdout:
        child = int(process.stdout.readline())
    clusters.end(process)
    assert process.returncode
    assert gone([child])
    clusters.end(process)  # twice does no harm


def test_an_idle_scheduler_ends_and_takes_its_workers_along():
    with clusters.processes(
        1, scheduler_flags=["--idle-timeout", "300ms"],
        worker_flags=["--death-timeout", "500ms"],
    ) as running:  # fmt: skip
        assert running.scheduler.wait(LIMIT) == 0
        running.workers[0].wait(LIMIT)


def test_a_worker_leaves_at_the_end_of_its_lifetime(open_house):
    with Client(open_house.address, timeout=LIMIT) as outside:
        command = clusters.worker_command(
            None, open_house.address, Path.cwd(), HERE,
            "--lifetime", "100ms", "--local-directory", "",
        )  # fmt: skip
        log = Path(os.devnull)
        with clusters.started(command, log, Path.cwd()) as worker:
            assert worker.wait(LIMIT) == 0
        assert outside.run_on_scheduler(clusters.known_workers) == []


# Certificates


def test_a_certificate_is_signed_short_lived_and_names_its_hosts(tmp_path):
    authority = clusters.make_authority()
    certificate, key = clusters.issue(
        authority, "worker", ["127.0.0.1", "node.example"], tmp_path
    )
    signed = x509.load_pem_x509_certificate(certificate.read_bytes())
    signed.verify_directly_issued_by(authority.certificate)
    lives = signed.not_valid_after_utc - signed.not_valid_before_utc
    assert lives <= datetime.timedelta(days=1, minutes=5)
    names = signed.extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    ).value
    assert names.get_values_for_type(x509.DNSName) == ["node.example"]
    assert names.get_values_for_type(x509.IPAddress) == [
        ipaddress.ip_address("127.0.0.1")
    ]
    limits = signed.extensions.get_extension_for_class(x509.BasicConstraints)
    assert limits.critical
    assert not limits.value.ca
    loaded = serialization.load_pem_private_key(key.read_bytes(), None)
    assert isinstance(loaded, ec.EllipticCurvePrivateKey)
    assert loaded.public_key() == signed.public_key()


def test_only_the_owner_may_read_a_key(tmp_path):
    clusters.secure(tmp_path, [])
    keys = list(tmp_path.glob("*.key"))
    assert len(keys) == 3
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}
    with pytest.raises(FileExistsError):  # no key is overwritten
        clusters.secure(tmp_path)


def test_an_authoritys_key_is_in_no_file(tmp_path):
    clusters.secure(tmp_path)
    files = {path.name for path in tmp_path.iterdir()}
    assert "authority.crt" in files
    assert "authority.key" not in files


def test_an_open_scheduler_runs_a_strangers_function(open_house):
    pid = clusters.trespass(open_house.address)
    assert pid == open_house.scheduler.pid


def test_strangers_are_refused(guarded, client, tmp_path):
    plain = guarded.address.replace("tls://", "tcp://")
    with pytest.raises(ConnectionError):
        clusters.trespass(plain, timeout=1)
    with pytest.raises(ValueError, match="certificate"):
        clusters.trespass(guarded.address)
    with pytest.raises(ConnectionError):
        clusters.trespass(guarded.address, clusters.secure(tmp_path), 1)
    assert client.submit(abs, -1, pure=False).result(LIMIT) == 1


def test_a_certificate_whose_key_is_anothers_is_refused(
    guarded, papers, tmp_path
):
    """Who copied certificates, but no key, is a stranger."""
    clusters.secure(tmp_path)
    client_side = papers.get_tls_config_for_role("client")
    copied = Security(
        tls_ca_file=client_side["ca_file"],
        tls_client_cert=client_side["cert"],
        tls_client_key=str(tmp_path / "client.key"),
    )
    with pytest.raises((ConnectionError, OSError)):
        clusters.trespass(guarded.address, copied, 1)


def test_a_workers_certificate_opens_the_door_for_a_client(guarded, papers):
    """A limit that the chapter names: roles are not told apart."""
    worker = papers.get_tls_config_for_role("worker")
    borrowed = Security(
        tls_ca_file=worker["ca_file"],
        tls_client_cert=worker["cert"],
        tls_client_key=worker["key"],
    )
    pid = clusters.trespass(guarded.address, borrowed, LIMIT)
    assert pid == guarded.scheduler.pid


def test_sent_bytes_arrive(client):
    for size in (0, 1, 100_000):
        assert clusters.send(client, bytes(size)) == size
    assert clusters.many_tasks(client, 5) == 10
    assert clusters.many_tasks(client, 0) == 0


def test_plain_and_tls_do_the_same(monkeypatch, guarded, client):
    calls = []
    asked = []

    def start(workers, security):
        asked.append((workers, security is not None))
        return lent(guarded)

    monkeypatch.setattr(comparing, "processes", start)
    monkeypatch.setattr(
        comparing, "compare", lambda ways, repeats: calls.append(
            {name: way() for name, way in ways.items()}
        ) or dict.fromkeys(ways, "timed")
    )  # fmt: skip
    found = clusters.plain_and_tls([10], tasks=3, repeats=1)
    assert calls == [{"plain": 10, "TLS": 10}, {"plain": 3, "TLS": 3}]
    assert asked == [(1, False), (1, True)]
    assert found["sent"] == {"plain": ["timed"], "TLS": ["timed"]}
    assert clusters.encryption_rate(1000) > 0


# SSH


@needs_sshd
def test_ssh_with_tls_and_without_a_trace(months, papers):
    home = Path.home() / ".ssh"
    before = {p: p.stat().st_mtime_ns for p in home.rglob("*")}
    expected = [delay_interval(path) for path in months]
    with clusters.own_sshd() as login:
        listening = clusters.listeners([os.getpid()])
        assert (HERE, login["port"]) in listening
        with clusters.connect(
            hosts=[HERE] * 3, login=login, interface="lo",
            security=papers, workers=2, say=str,
        ) as connected:  # fmt: skip
            assert connected.scheduler.address.startswith("tls://127.0.0.1")
            pids = [
                *connected.run(os.getpid).values(),
                connected.run_on_scheduler(os.getpid),
            ]
            assert len(set(pids)) == 3
            assert os.getpid() not in pids
            found = clusters.listeners(pids)
            assert clusters.beyond_loopback(host for host, _ in found) == []
            got = clusters.survey(connected, months)
            plain = connected.scheduler.address.replace("tls", "tcp")
            with pytest.raises(ConnectionError):
                clusters.trespass(plain, timeout=1)
        assert gone(pids)
    assert np.array_equal(got, expected)
    assert {p: p.stat().st_mtime_ns for p in home.rglob("*")} == before


@needs_sshd
def test_a_host_with_another_key_and_a_user_with_another_key(tmp_path):
    async def try_to(**changed):
        async with asyncssh.connect(HERE, **{**login, **changed}):
            pass

    def attempt(**changed):
        asyncio.run(try_to(**changed))

    asyncssh.generate_private_key("ssh-ed25519").write_private_key(
        tmp_path / "key"
    )
    with clusters.own_sshd() as login:
        attempt()
        (tmp_path / "known").write_text(
            f"[{HERE}]:{login['port']} "
            + asyncssh.generate_private_key("ssh-ed25519")
            .export_public_key()
            .decode()
        )
        with pytest.raises(asyncssh.HostKeyNotVerifiable):
            attempt(known_hosts=str(tmp_path / "known"))
        with pytest.raises(asyncssh.PermissionDenied):
            attempt(client_keys=[str(tmp_path / "key")])
        with pytest.raises(asyncssh.PermissionDenied):
            attempt(client_keys=[], password="secret")


def test_without_a_server_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setattr(clusters.logins, "sshd_program", lambda: None)
    with (
        pytest.raises(FileNotFoundError, match="openssh-server"),
        clusters.own_sshd(),
    ):
        pass


# SLURM


def test_the_job_script_line_by_line(papers):
    script = clusters.job_script(
        {**clusters.ASKED, "interface": "lo", "queue": "short",
         "account": "group"},
        papers,
    )  # fmt: skip
    assert script.splitlines()[0] == "#!/usr/bin/env bash"
    assert clusters.directives(script) == {
        "-J": "dask-worker",
        "-p": "short",
        "-A": "group",
        "-n": "1",
        "--cpus-per-task": "4",
        "--mem": "8G",
        "-t": "01:00:00",
    }
    (command,) = [
        line for line in script.splitlines() if "dask_worker" in line
    ]
    words = command.split()
    assert words[:3] == [sys.executable, "-m", "distributed.cli.dask_worker"]
    assert words[3].startswith("tls://127.0.0.1:")
    options = dict(itertools.pairwise(words))
    files = papers.get_tls_config_for_role("worker")
    assert options["--tls-ca-file"] == files["ca_file"]
    assert options["--tls-cert"] == files["cert"]
    assert options["--tls-key"] == files["key"]
    assert options["--protocol"] == "tls://"
    assert options["--interface"] == "lo"
    assert options["--nthreads"] == "4"
    assert options["--memory-limit"] == "8.00GiB"
    assert options["--death-timeout"] == "60"
    assert "BEGIN" not in script  # no key inside, only its path


def test_workers_leave_before_slurm_kills_them():
    script = clusters.job_script(clusters.ASKED)
    options = dict(itertools.pairwise(script.split()))
    walltime = clusters.walltime_seconds(clusters.directives(script)["-t"])
    latest = sum(
        dask.utils.parse_timedelta(options[name])
        for name in ("--lifetime", "--lifetime-stagger")
    )
    assert latest < walltime


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("", {}),
        ("#SBATCH -n 1\n#SBATCH --mem=1G", {"-n": "1", "--mem": "1G"}),
        ("#SBATCH --exclusive\n# SBATCH -n 2", {"--exclusive": ""}),
    ],
)
def test_directives_of_a_script(script, found):
    assert clusters.directives(script) == found


@needs_slurm
def test_a_real_slurm_runs_the_workers():
    found = clusters.slurm_here()
    assert found["said"].startswith("slurm")
    assert found["queue"] == ["dask-worker RUNNING"] * 2
    assert found["results"] == list(range(10, 0, -1))
    assert found["left"] == []


def test_slurms_settings_keep_to_loopback(tmp_path):
    lines = clusters.slurm_settings(tmp_path).splitlines()
    settings = dict(line.split("=", 1) for line in lines)
    assert settings["SlurmctldHost"].endswith("(127.0.0.1)")
    assert "NodeAddr=127.0.0.1" in settings["NodeName"]
    assert settings["CommunicationParameters"] == "NoCtldInAddrAny,NoInAddrAny"
    # A job that ends slowly is killed before our patience with it ends.
    assert int(settings["KillWait"]) < 30


def test_why_slurm_cannot_be_tried(monkeypatch):
    monkeypatch.setattr(queues, "PROGRAMS", ("no-such-program",))
    assert clusters.no_slurm() == "there is no program no-such-program"
    monkeypatch.setattr(queues, "PROGRAMS", ())
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert clusters.no_slurm() == "only root can"


# Hosts in network namespaces


@pytest.fixture(scope="module")
def hosts():
    """One experiment with three hosts, which several tests look at."""
    return clusters.inside(
        f"{PACKAGE}:hosts_experiment", 12, [1000, 500_000], 20
    )


@needs_hosts
def test_the_result_survives_a_cut_link(hosts):
    assert hosts["result"] == clusters.combine_serial(12)
    assert hosts["cut"] < hosts["noticed"] <= hosts["done"]


@needs_hosts
def test_lost_tasks_are_done_again_and_no_others(hosts):
    runs = [(seed, host) for seed, host, _, _ in hosts["runs"]]
    assert {seed for seed, _ in runs} == set(range(12))
    lost = {seed for seed, host in runs if host == "c"}
    assert lost
    assert sorted(
        s for s, n in Counter(s for s, _ in runs).items() if n > 1
    ) == sorted(lost)
    assert {host for seed, host in runs[len(runs) - len(lost) :]} == {"b"}


@needs_hosts
def test_hosts_listen_on_their_own_addresses_only(hosts):
    assert hosts["listening"] == {
        "a": ["10.77.0.2"],
        "b": ["10.77.0.3"],
        "c": ["10.77.0.4"],
    }


@needs_hosts
def test_a_slow_cable_takes_at_least_its_bytes_over_its_bandwidth(hosts):
    """Not a speed: a limit that the kernel keeps, less the first burst."""
    assert hosts["slow"][1] > (500_000 - 64_000) / (20e6 / 8) * 0.9


@needs_hosts
def test_nothing_of_it_remains(hosts):
    named = Path("/run/netns")
    assert not named.exists() or not {"a", "b", "c"} & {
        path.name for path in named.iterdir()
    }
    links = subprocess.check_output(["ip", "link"], text=True)
    assert "to-a" not in links
    assert "switch" not in links


@needs_hosts
def test_an_error_inside_comes_out():
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        clusters.inside("operator:floordiv", 1, 0, seconds=LIMIT)


@needs_hosts
def test_what_hangs_inside_is_ended():
    before = set(psutil.pids())
    with pytest.raises(TimeoutError, match="for 1 s"):
        clusters.inside("time:sleep", 1000, seconds=1)
    sleeping = [
        pid for pid in set(psutil.pids()) - before
        if "time:sleep" in " ".join(_command(pid))
    ]  # fmt: skip
    assert gone(sleeping)


def _command(pid):
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).cmdline()
    return []


def test_a_missing_program_is_named(monkeypatch):
    monkeypatch.setattr(networks, "TOOLS", ("no-such-program",))
    assert clusters.forbidden() == "there is no program no-such-program"


def test_who_is_not_root_takes_a_namespace_of_users(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "--map-root-user" in clusters.apart()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert "--user" not in clusters.apart()


@pytest.mark.parametrize("topic", ["hosts", "slurm"])
def test_where_it_cannot_be_done_a_record_is_shown(monkeypatch, topic):
    doing, _ = recording.EXPERIMENTS[topic]
    monkeypatch.setitem(
        recording.EXPERIMENTS, topic, (doing, lambda: "not permitted")
    )
    found, where = clusters.here_or_recorded(topic)
    assert where.startswith("recorded on")
    assert where.endswith("not permitted")
    if topic == "hosts":
        assert found["result"] == clusters.combine_serial(found["tasks"])
    else:
        assert found["results"] == list(range(10, 0, -1))


def test_without_record_and_permission_it_is_an_error(monkeypatch):
    monkeypatch.setitem(
        recording.EXPERIMENTS, "moon", (dict, lambda: "too far")
    )
    with pytest.raises(LookupError, match="too far.*moon"):
        clusters.here_or_recorded("moon")
    monkeypatch.setitem(recording.EXPERIMENTS, "moon", (lambda: {"x": 1}, str))
    assert clusters.here_or_recorded("moon")[0] == {"x": 1}


def test_the_module_says_what_this_machine_offers(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [PACKAGE])
    runpy.run_module(PACKAGE, run_name="__main__")
    said = capsys.readouterr().out
    assert "connect()" in said
    assert (clusters.forbidden() or "possible") in said


# Growing and shrinking


@pytest.fixture(scope="module")
def managed():
    with clusters.managed_cluster(1) as connected:
        pids = list(connected.run(os.getpid).values())
        yield connected
    assert gone(pids)


def test_a_backlog_makes_it_grow_and_idleness_shrink(managed):
    episode = clusters.adapt_to(managed, 20, 0.2, maximum=2, target="500ms")
    counts = [count for _, count in episode.changes]
    assert counts[0] == counts[-1] == 1
    assert episode.most == episode.asked == 2
    assert 1 <= episode.in_time <= 2
    assert sum(episode.by_worker.values()) == 20


def test_short_work_is_over_before_anybody_comes(managed):
    episode = clusters.adapt_to(managed, 4, 0.001, maximum=2, target="100ms")
    assert episode.in_time == 1
    assert sum(episode.by_worker.values()) == 4
    assert episode.changes[-1][1] == 1


def test_a_managers_workers_are_processes_of_this_machine(managed):
    """That they end is looked at when the last test has used them."""
    pids = list(managed.run(os.getpid).values())
    assert os.getpid() not in pids
    found = clusters.listeners([os.getpid(), *pids])
    assert clusters.beyond_loopback(host for host, _ in found) == []


# Environments and data


def test_equal_environments_do_not_differ(client):
    assert clusters.differences(client) == {}


def test_another_version_is_found_and_warned_of(papers, tmp_path):
    claim = clusters.pretend_version(tmp_path, "cloudpickle", "2.2.0")
    path = os.pathsep.join([claim, *sys.path])
    with (
        warnings.catch_warnings(action="always", record=True) as caught,
        clusters.processes(
            1, papers, environment={"PYTHONPATH": path}
        ) as running,
        clusters.client_of(running) as connected,
    ):
        connected.wait_for_workers(1, timeout=LIMIT)
        found = clusters.differences(connected)
    assert set(found) == {"cloudpickle"}
    assert found["cloudpickle"]["worker 0"] == "2.2.0"
    assert found["cloudpickle"]["client"] != "2.2.0"
    assert any("Mismatched" in str(one.message) for one in caught)


def test_a_module_of_the_client_is_missing_until_it_is_sent(
    client, tmp_path, monkeypatch
):
    module = tmp_path / "only_here_module.py"
    module.write_text("def double(x):\n    return 2 * x\n")
    monkeypatch.syspath_prepend(tmp_path)
    import only_here_module

    error = client.submit(only_here_module.double, 2).exception(LIMIT)
    assert isinstance(error.__cause__, ModuleNotFoundError)
    client.upload_file(str(module))
    future = client.submit(only_here_module.double, 2, pure=False)
    assert future.result(LIMIT) == 4


def test_workers_open_paths_where_they_are(client, tmp_path, monkeypatch):
    (tmp_path / "rows.csv").write_text("a\nb\n")
    with contextlib.chdir(tmp_path):
        assert clusters.count_rows("rows.csv") == 2
        error = client.submit(clusters.count_rows, "rows.csv").exception(LIMIT)
    assert isinstance(error, FileNotFoundError)
    whole = client.submit(clusters.count_rows, str(tmp_path / "rows.csv"))
    assert whole.result(LIMIT) == 2


# Money

amounts = st.floats(0.01, 100)


@given(amounts, amounts, amounts, amounts, amounts)
def test_no_number_of_workers_costs_less_than_the_best(
    fixed, shared, worker, rest, waiting
):
    job = clusters.Job(fixed, shared)
    rates = clusters.Rates(worker, rest, waiting)
    least = clusters.cost(job, rates, clusters.cheapest(job, rates))
    others = [clusters.cost(job, rates, n) for n in range(1, 200)]
    assert least <= min(others) * (1 + 1e-9)


def test_bills():
    job, rates = clusters.Job(1, 8), clusters.Rates(0.5, 1, 10)
    assert job.hours(4) == 3
    assert clusters.bill(job, rates, 4) == 3 * (4 * 0.5 + 1)
    assert clusters.cost(job, rates, 4) == 3 * (4 * 0.5 + 1) + 30
    assert clusters.forgotten(rates, 4, 60) == 60 * 3


def test_without_a_fixed_part_more_is_always_better():
    assert (
        clusters.cheapest(clusters.Job(0, 1), clusters.Rates(1, 1)) == math.inf
    )
    assert clusters.cheapest(clusters.Job(1, 1), clusters.Rates(0)) == math.inf
    assert clusters.cheapest(clusters.Job(1, 5), clusters.Rates(1)) == 1


# Comparisons and exercises


def test_starts_are_compared_by_what_they_were_used_for(
    monkeypatch, guarded, client
):
    monkeypatch.setattr(
        comparing.cluster, "local", lambda workers: lent(client)
    )
    monkeypatch.setattr(
        comparing, "processes", lambda workers, security: lent(guarded)
    )
    monkeypatch.setattr(comparing, "sshd_program", lambda: None)
    monkeypatch.setattr(
        comparing,
        "compare",
        lambda ways, repeats, warmup: {n: way() for n, way in ways.items()},
    )
    assert clusters.start_times(2, 1) == {"local": 1, "processes with TLS": 1}


def test_titles_are_declared():
    assert len(comparing.COMPARISONS) == 3
    assert {t.partition(":")[0] for t in comparing.COMPARISONS} == {
        "plain against TLS",
        "start of a cluster, used and ended",
    }


EXERCISE_NAMES = ["beyond_loopback", "walltime_seconds", "best_workers"]


@pytest.mark.parametrize("name", EXERCISE_NAMES)
def test_a_solution_solves_its_exercise(name):
    assert verdict(getattr(practice, name), practice) == ""


def forgets_other_loopbacks(addresses):
    return sorted({a for a in addresses if a not in ("127.0.0.1", "::1")})


def private_is_fine(addresses):
    return sorted(
        {a for a in addresses if not ipaddress.ip_address(a).is_private}
    )


def in_order_of_appearance(addresses):
    return [a for a in addresses if not ipaddress.ip_address(a).is_loopback]


def always_clock(text):
    days, _, rest = text.rpartition("-")
    parts = [0, 0, 0, *map(int, rest.split(":"))][-3:]
    hours = int(days or 0) * 24 + parts[0]
    return (hours * 60 + parts[1]) * 60 + parts[2]


def no_days(text):
    parts = list(map(int, text.split(":")))
    return sum(x * y for x, y in zip(parts, (3600, 60, 1), strict=False))


def forgets_waiting(fixed, shared, price, waiting, most):
    return 1


def formula_only(fixed, shared, price, waiting, most):
    return round(math.sqrt(shared * waiting / (fixed * price)))


def as_many_as_there_are(fixed, shared, price, waiting, most):
    return most


@pytest.mark.parametrize(
    ("name", "wrong", "problem", "message"),
    [
        ("beyond_loopback", forgets_other_loopbacks, AssertionError, "127.8"),
        ("beyond_loopback", private_is_fine, AssertionError, "expected"),
        ("beyond_loopback", in_order_of_appearance, AssertionError, "ffff"),
        ("walltime_seconds", always_clock, AssertionError, "expected 1800"),
        ("walltime_seconds", no_days, (AssertionError, ValueError), None),
        ("best_workers", forgets_waiting, AssertionError, "which costs"),
        (
            "best_workers",
            formula_only,
            (AssertionError, ZeroDivisionError),
            None,
        ),
        ("best_workers", as_many_as_there_are, AssertionError, "cost"),
    ],
)
def test_wrong_answers_are_told_apart(name, wrong, problem, message):
    one = EXERCISES[f"{practice.__name__}.{name}"]
    with pytest.raises(problem, match=message):
        one.check(wrong)


@given(st.lists(st.ip_addresses()))
def test_what_is_beyond_loopback(addresses):
    texts = [str(address) for address in addresses]
    found = clusters.beyond_loopback(texts)
    assert found == sorted(set(found))
    assert set(found) <= set(texts)
    assert not any(text.startswith("127.") for text in found)


@given(st.integers(0, 40), st.integers(0, 23), st.integers(0, 59),
       st.integers(0, 59))  # fmt: skip
def test_a_written_time_limit_is_read_back(days, hours, minutes, seconds):
    text = f"{days}-{hours:02}:{minutes:02}:{seconds:02}"
    expected = datetime.timedelta(
        days=days, hours=hours, minutes=minutes, seconds=seconds
    )
    got = clusters.walltime_seconds(text)
    assert got == expected.total_seconds()


def test_asking_for_slurm_leaves_ctrl_c_alone(monkeypatch):
    for name in [n for n in sys.modules if n.startswith("dask_jobqueue")]:
        monkeypatch.delitem(sys.modules, name)  # it is imported anew
    before = signal.getsignal(signal.SIGINT)
    clusters.job_script({"cores": 1, "memory": "1 GiB"})
    assert "dask_jobqueue.runner" in sys.modules  # which takes it over
    assert signal.getsignal(signal.SIGINT) is before
