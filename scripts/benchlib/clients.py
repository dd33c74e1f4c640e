"""What is measured, and how each client is started for it.

A client's measure(swarm, round) returns {metric: value} for one round. Every value comes from a
fresh directory and a dropped page cache. Mounts are read by reader.py from outside.
"""
import json
import pathlib
import re
import shutil
import subprocess
import sys
import time

from . import process, swarm as swarm_module

HERE = pathlib.Path(__file__).resolve().parent
RANDOM_READS = 40
STEP_SECONDS = 180
SETTLE_SECONDS = 5  # between the end of a download and the warm reads: what is written is synced


class Failed(Exception):
    """A client could not be measured; the message says why."""


class Hopeless(Failed):
    """Another try would say the same: minutes went by, or the client has no such thing."""


def percentile(values, fraction):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(fraction * len(ordered)))]


class Reader:
    """reader.py, started and waited for."""

    def __init__(self, mode, path, swarm, *args):
        self._popen = subprocess.Popen(
            [sys.executable, HERE / "reader.py", mode, path, swarm.source, *map(str, args)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def result(self, client=None):
        try:
            out, err = self._popen.communicate(timeout=STEP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failed(f"a read did not end within {STEP_SECONDS} s") from None
        if self._popen.returncode:
            raise Failed(err.strip() + ("\n" + client.tail() if client else ""))
        return json.loads(out)

    def kill(self):
        if self._popen.poll() is None:
            self._popen.kill()


class Mount:
    """A client that shows the file as a mount."""

    def __init__(self, name, version, command):
        """`command(torrent, scratch, on_demand)` is what runs it in the foreground."""
        self.name, self.version = name, version
        self._command = command

    def measure(self, swarm, number):
        first = self._run(swarm, False, self._first)
        latencies = self._run(swarm, True, self._random, number)
        return {**first, **latencies, **self._run(swarm, False, self._sequential)}

    def _run(self, swarm, on_demand, step, *args):
        scratch = swarm.scratch(self.name)
        for folder in ("mnt", "cache"):
            (scratch / folder).mkdir()
        path = scratch / "mnt" / swarm.name
        client, readers = None, []

        def read(mode, *more):
            readers.append(Reader(mode, path, swarm, *more))
            return readers[-1]

        def start():
            nonlocal client
            time.sleep(0.3)  # the reader is up and polling
            client = process.Client(swarm.client, self._command(swarm.torrent, scratch, on_demand),
                                    scratch / "log")
            return client

        swarm_module.drop_caches()
        try:
            return step(read, start, *args)
        finally:
            if client:
                subprocess.run(["fusermount3", "-u", "-z", scratch / "mnt"], capture_output=True,
                               timeout=30)
                if not client.wait(5):
                    client.stop()
                client.stop()
            for reader in readers:
                reader.kill()
            swarm.discard(scratch)

    def _first(self, read, start):
        reader = read("first")
        client = start()
        got = reader.result(client)
        return {"visible_s": got["visible"] - client.began, "first_s": got["first"] - client.began}

    def _random(self, read, start, number):
        reader = read("random", 1000 + number, RANDOM_READS)
        latencies = reader.result(start())["latencies"]
        return {"random_p50_ms": 1e3 * percentile(latencies, 0.50),
                "random_p99_ms": 1e3 * percentile(latencies, 0.99)}

    def _sequential(self, read, start):
        reader = read("sequential")
        client = start()
        got = reader.result(client)
        cpu = client.cpu()
        time.sleep(SETTLE_SECONDS)
        warm = read("warm").result(client)
        return {"cold_s": got["end"] - got["begin"], "all_s": got["end"] - client.began,
                "cpu_s": cpu, "peak_anonymous": client.peak_anonymous, "warm_s": warm["seconds"]}


class Libtorrent:
    """lt_download.py: a download to disk, no filesystem over it."""

    name = "libtorrent"

    def __init__(self):
        self.version = swarm_module.lt.__version__.rsplit(".", 1)[0]

    def measure(self, swarm, number):
        scratch = swarm.scratch(self.name)
        swarm_module.drop_caches()
        client = process.Client(
            swarm.client, [sys.executable, HERE / "lt_download.py", swarm.torrent, scratch],
            scratch / "log")
        try:
            if not client.wait(STEP_SECONDS) or client.popen.returncode:
                raise Failed("libtorrent: " + client.tail())
            got = json.loads(client.log.read_text())
            return {"cold_s": got["end"] - got["begin"], "all_s": got["end"] - client.began,
                    "cpu_s": got["cpu"], "peak_anonymous": client.peak_anonymous}
        finally:
            client.stop()
            swarm.discard(scratch)


class Aria2:
    """aria2c: a download to disk, timed until it says that the download is complete."""

    name = "aria2"

    def __init__(self):
        self.version = version_of("aria2c", "aria2 version")

    def measure(self, swarm, number):
        scratch = swarm.scratch(self.name)
        hook, stamp = scratch / "hook", scratch / "done"
        hook.write_text(f"#!/bin/sh\n: >'{stamp}'\n")
        hook.chmod(0o755)
        swarm_module.drop_caches()
        client = process.Client(
            swarm.client,
            ["aria2c", "--no-conf", "--quiet", "--seed-time=0", "--enable-dht=false",
             "--bt-enable-lpd=false", "--enable-peer-exchange=false", "--file-allocation=none",
             f"--dir={scratch}", f"--on-bt-download-complete={hook}", swarm.torrent],
            scratch / "log")
        try:
            end = time.monotonic() + STEP_SECONDS
            while not stamp.exists():
                if not client.alive() or time.monotonic() > end:
                    raise Failed("aria2: " + client.tail())
                time.sleep(0.002)
            took, cpu = time.monotonic() - client.began, client.cpu()
            return {"cold_s": took, "all_s": took, "cpu_s": cpu,
                    "peak_anonymous": client.peak_anonymous}
        finally:
            client.stop()
            swarm.discard(scratch)


def version_of(program, before):
    """The version that `program --version` prints after the word or words `before`."""
    done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10)
    found = re.search(rf"{before}\s+([\d.]+)", done.stdout + done.stderr)
    return found[1] if found else ""


def swarmfs_command(binary):
    def command(torrent, scratch, on_demand):
        return [binary, "mount", torrent, scratch / "mnt", "-f", "--cache-dir", scratch / "cache",
                *(["--on-demand"] if on_demand else [])]
    return command


def btfs_command(torrent, scratch, on_demand):
    return ["btfs", "-f", f"--data-directory={scratch / 'cache'}", torrent, scratch / "mnt"]


def available(binary):
    """(clients that are here, names of those that are not)."""
    here, absent = [], []
    if binary and shutil.which(str(binary)):
        here.append(Mount("swarmfs", version_of(binary, "swarmfs"),
                          swarmfs_command(binary)))
    else:
        absent.append("swarmfs")
    if shutil.which("btfs"):
        here.append(Mount("btfs", version_of("btfs", "btfs version:"), btfs_command))
    else:
        absent.append("btfs")
    here.append(Libtorrent())
    if shutil.which("aria2c"):
        here.append(Aria2())
    else:
        absent.append("aria2")
    return here, absent
