"""From a link to knowing what is behind it, beside the clients that people have.

swarmfs is timed from the start of its process until its file is seen; the others run already, and
are timed from when they have been given the link.
"""
import shutil
import sys
import time
import types

import foreign  # tests/interop

from .contestants import Job
from .figures import SUBJECT
from .stage import MIB, RTT
from .start_cases import FILE, FOUR_SEEDS, SIZE, link_of

STEP_S = 0.01
LIMIT_S = 90


def metadata(run):
    label = "magnet to metadata, v1, libtorrent seeds"
    run.material.file(FILE, SIZE)
    count = 5 if run.quick else 20
    took = {}
    with run.stage((FILE, "v1", MIB), "libtorrent", FOUR_SEEDS) as stage:
        stage.torrent = link_of(stage.torrent)
        if SUBJECT in run.contestants:
            for _ in range(count):
                outcome = run.measure(SUBJECT, label, stage, [Job("first")], limit=45)
                if outcome:
                    took.setdefault(SUBJECT, []).append(
                        outcome.results[0]["visible"] - outcome.began)
        for kind in (Transmission, QBittorrent):
            if kind.absent():
                continue
            for _ in range(run.times(kind.name, count)):
                print(f"{label}: {kind.name}", file=sys.stderr, flush=True)
                client = kind(stage.client)
                try:
                    took.setdefault(kind.name, []).append(client.time_to_metadata(stage.torrent))
                except AssertionError as failure:
                    run.found.failures.append((kind.name, label, str(failure)))
                finally:
                    client.stop()
                    shutil.rmtree(client.dir)
    run.found.distribution(label, took, RTT, shown=("p50", "p95"))


def _until(said):
    """Seconds until it is so."""
    began = time.monotonic()
    while not said():
        if time.monotonic() > began + LIMIT_S:
            raise AssertionError(f"no metadata within {LIMIT_S} s")
        time.sleep(STEP_S)
    return time.monotonic() - began


class Transmission(foreign.Transmission):
    def time_to_metadata(self, link):
        self._start(types.SimpleNamespace(path=link), self.dir)
        return _until(lambda: "Total size: None" not in (self._remote("-t", "1", "-i") or "None"))


class QBittorrent(foreign.QBittorrent):
    def time_to_metadata(self, link):
        self._start(types.SimpleNamespace(path=link), self.dir)
        while self._state() is None:
            time.sleep(STEP_S)
        return _until(lambda: self._state()["state"] not in ("metaDL", "forcedMetaDL"))
