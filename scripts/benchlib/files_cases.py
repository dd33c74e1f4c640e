"""The cases of scripts/bench files. Each is a function of a Bench; clients take turns in every
round, in an order that rotates, so that what else the machine does meets all of them."""
import json
import os
import pathlib
import shutil
import sys
import time

from .clients import Failed
from .files_report import BTFS, CACHED, EXT4, FLOOR, SMALL_PAGES, SUBJECT, Goal
from .files_stage import KIB, MIB, Place, forget_names, make_file, make_files, run

HERE = pathlib.Path(__file__).resolve().parent
TREE, TREE_FOLDERS, SMALL, SMALL_FOLDERS = 61_000, 2_000, 20_000, 200
MEMORY_BYTES = 8 * MIB  # of the 16 MiB of blocks that a torrent keeps in memory
LINK_BITS, LINK_RTT, TCP_SHARE = 100e6, 0.02, 1448 / 1514
TORRENTS = 100
RIVAL_SECONDS, RIVAL_TRIES = 120, 3

WARM = (("sequential 128K", "GB/s", ["--rw=read", "--bs=128k"], 0.80),
        ("sequential 1M", "GB/s", ["--rw=read", "--bs=1m"], 0.80),
        ("mmap", "GB/s", ["--rw=read", "--bs=128k", "--ioengine=mmap"], 0.70),
        ("random 4K, 1 job", "IOPS", ["--rw=randread", "--bs=4k"], 0.80),
        ("random 4K, 2 jobs", "IOPS", ["--rw=randread", "--bs=4k", "--numjobs=2"], 0.80))


def fio(place, unit, options):
    """What fio reads of a file: GB/s of passes over it, or IOPS over half a second. It leaves the
    page cache as it is."""
    how = ["--runtime=500ms", "--time_based"] if unit == "IOPS" else []
    out = look(place, ["fio", "--name=x", f"--filename={place.path}", "--readonly", "--invalidate=0",
                       "--ioengine=psync", "--output-format=json", "--group_reporting", *how,
                       *options])
    read = json.loads(out[out.index("{"):])["jobs"][0]["read"]
    return read["iops"] if unit == "IOPS" else read["bw_bytes"] / 1e9


def look(place, argv, limit=60):
    """run() of a command that reads there: a client that lets it wait for ever is cut off."""
    return run(argv, limit, mounts=place.path.parent.parent)


def shell(place, script, limit=RIVAL_SECONDS):
    """Runs a line of bash that finds the path in $1, and in $2 and $3 its folder and name."""
    path = place.path
    return look(place, ["bash", "-o", "pipefail", "-c", script, "bash", path, path.parent,
                        path.name], limit)


def cat(place):
    shell(place, 'find "$1" -type f -print0 | sort -z | xargs -0 cat >/dev/null')


class Bench:
    """One run: the Stage, what was found, who is measured, and what is mounted for several cases."""

    def __init__(self, stage, found, only, quick):
        self.stage, self.found, self.only, self.quick = stage, found, only, quick
        self.rounds = 3 if quick else 9
        self._complete = {}

    def note(self, text):
        print(text, file=sys.stderr, flush=True)

    def turns(self, label, where, figure, rounds=None):
        """{client: [figure(place)]}; `where` is {client: place}. btfs, which is slower by orders of
        magnitude, has one turn. Who fails is left out from then on."""
        samples = {}
        for number in range(rounds or self.rounds):
            self.note(f"{label}, round {number + 1}")
            names = [n for n in where if n != BTFS or number == 0]
            turn = number % len(names)
            for name in names[turn:] + names[:turn]:
                try:
                    samples.setdefault(name, []).append(figure(where[name]))
                except (Failed, OSError) as failure:  # a mount that has died answers with an errno
                    self.failed(name, label, failure)
                    where.pop(name)
        return samples

    def failed(self, name, label, failure):
        self.found.failures.append((name, label, str(failure)))
        self.note(f"  {name} failed: {failure}")

    def complete(self, name, make, piece=MIB, btfs=True):
        """{client: Place} of a torrent that all of them have whole; the native files for ext4."""
        if name not in self._complete:
            manifest, seed = self.stage.torrent(name, make, piece)
            where = {EXT4: Place(self.stage.native / name)}
            for client, options in ((SUBJECT, []), (CACHED, ["--no-passthrough"])):
                if client in self.only:
                    mounted = self.stage.swarmfs([manifest], [seed], options, name=client)
                    mounted.wait_complete(self.stage.binary, 120)
                    where[client] = mounted.place(name)
            if btfs:
                self.add_rival(where, name, manifest, cat)
            time.sleep(3)  # what was written last is synced, and the kernel may read it itself
            os.sync()
            self._complete[name] = where
        return dict(self._complete[name])

    def add_floor(self, where):
        """Adds what FUSE itself makes of the native files."""
        mounted, where[FLOOR] = self.stage.floor(where[EXT4].path)
        return mounted

    def note_floor(self):
        """Of the last row: how near to the floor, and how near to ext4 the floor is."""
        row = self.found.rows[-1]
        floor, native = row.median(FLOOR), row.median(EXT4)
        if not floor or not native:
            return
        ours = ", ".join(f"{name} is {row.median(name) / floor:.2f}x that"
                         for name in (SUBJECT, CACHED) if row.median(name))
        self.found.notes.append(f"{row.label}: a file system over FUSE that does nothing: {floor:.3g} "
                                f"{row.unit}, {floor / native:.2f}x ext4; {ours}")

    def add_rival(self, where, name, manifest, prepare=None):
        """Adds btfs's place of a torrent, where btfs is wanted and does not crash at it each time."""
        for _ in range(RIVAL_TRIES if BTFS in self.only else 0):
            mounted = self.stage.btfs(manifest)
            try:
                mounted.wait_visible(name)
                if prepare:
                    prepare(mounted.place(name))
                where[BTFS] = mounted.place(name)
                return
            except (Failed, OSError) as failure:
                self.failed(BTFS, f"mounting {name}", failure)
                self.stage.discard(mounted)


def big_file(bench):
    size = (128 if bench.quick else 512) * MIB
    return bench.complete("big.bin", lambda path: make_file(path, size))


def fill_page_by_page(place):
    """Caches a file in pages of 4 KiB, as the kernel caches those of FUSE; ext4's own come in larger
    folios, from which it copies faster."""
    place.forget()
    fd = os.open(place.path, os.O_RDONLY)
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
        for offset in range(0, os.fstat(fd).st_size, 4096):
            os.pread(fd, 1, offset)
    finally:
        os.close(fd)


def warm(bench):
    where = big_file(bench)
    # The floor of what goes through the page cache of FUSE: ext4 that has no more than that.
    where[SMALL_PAGES] = Place(shutil.copy(where[EXT4].path, f"{where[EXT4].path}.pages"))
    for label, unit, options, cached in WARM:
        def again(place):
            if place is where.get(SMALL_PAGES):
                fill_page_by_page(place)
            else:
                cat(place)  # others may have dropped the page cache
            return fio(place, unit, options)
        samples = bench.turns(f"warm, {label}", where, again)
        bench.found.add(f"complete, warm, {label}", unit, samples, Goal(SUBJECT, ">=", 0.93),
                        Goal(CACHED, ">=", cached))
        row = bench.found.rows[-1]
        if CACHED in samples:
            bench.found.notes.append(
                f"{row.label}: ext4 in pages of 4 KiB: {row.median(SMALL_PAGES):.3g} {unit}; no "
                f"passthrough is {row.median(CACHED) / row.median(SMALL_PAGES):.2f}x that")


def dropped(bench):
    where = big_file(bench)

    def cold(place):
        place.forget()
        return fio(place, "GB/s", ["--rw=read", "--bs=128k"])
    samples = bench.turns("page cache dropped", where, cold)
    # Without passthrough it depends on how fast the disk is beside a copy from it.
    bench.found.add("complete, page cache dropped, sequential", "GB/s", samples,
                    Goal(SUBJECT, ">=", 0.9))


def memory(bench):
    """Files that the program reads out of its own memory of blocks; no page of theirs is cached."""
    manifest, seed = bench.stage.torrent("memory.bin", lambda p: make_file(p, MEMORY_BYTES), MIB)
    if CACHED not in bench.only:
        return
    mounted = bench.stage.swarmfs([manifest], [seed], ["--no-passthrough"], name=CACHED)
    mounted.wait_complete(bench.stage.binary, 60)

    def reads(place, mode, passes):
        return json.loads(look(place, [sys.executable, HERE / "files_reader.py", mode, place.path,
                                       passes]))
    place = mounted.place("memory.bin")
    before = mounted.status(bench.stage.binary)["latency"]
    rates = [r / 1e9 for _ in range(bench.rounds) for r in reads(place, "sequential", 20)]
    spans = [s * 1e6 for _ in range(bench.rounds) for s in reads(place, "random", 2)]
    after = mounted.status(bench.stage.binary)["latency"]
    counts = {s: after[s]["count"] - before[s]["count"] for s in ("memory", "disk", "peer")}
    bench.found.notes.append(f"reads of verified data in memory were answered from {counts}")
    bench.found.add("verified, in the program's memory, sequential", "GB/s", {CACHED: rates},
                    Goal(CACHED, ">=", 1.8, times_ext4=False))
    bench.found.add("verified, in the program's memory, random 4K, p50", "us", {CACHED: spans},
                    Goal(CACHED, "<=", 15, times_ext4=False))
    bench.stage.discard(mounted)

    where = big_file(bench)
    samples = {CACHED: [r / 1e9 for _ in range(bench.rounds)
                        for r in reads(where[CACHED], "sequential", 1)]}
    bench.found.add("complete, cached by the disk's file system only, sequential", "GB/s", samples)


def find(bench):
    """Nothing of the files is here but the manifest: names and attributes are all there is to it."""
    manifest, _ = bench.stage.torrent(
        "tree", lambda path: make_files(path, TREE, TREE_FOLDERS, (1000,), 1), MIB)
    where = {EXT4: Place(bench.stage.native / "tree")}
    if SUBJECT in bench.only:
        mounted = bench.stage.swarmfs([manifest], options=["--on-demand"])
        mounted.wait_visible("tree")
        where[SUBJECT] = mounted.place("tree")
    bench.add_rival(where, "tree", manifest)
    floor = bench.add_floor(where)
    label = f"find -ls, {TREE} files in {TREE_FOLDERS} folders"

    def listed(place):
        out = shell(place, 'find "$1" -ls | wc -l')
        if int(out) != TREE + TREE_FOLDERS + 1:
            raise Failed(f"find shows {out.strip()} entries")

    def cold(place):
        forget_names()
        begin = time.monotonic()
        listed(place)
        return time.monotonic() - begin

    def again(place):
        listed(place)
        time.sleep(1.2)
        begin = time.monotonic()
        listed(place)
        return time.monotonic() - begin
    goals = (Goal(SUBJECT, "<=", 1.5), Goal(SUBJECT, "<=", 1, times_ext4=False))
    first = bench.turns(label, where, cold)
    where.pop(BTFS, None)  # whose every second look costs the same minute
    second = bench.turns(label, where, again)
    bench.found.add(f"{label}, names forgotten", "s", first, *goals)
    bench.note_floor()
    bench.found.add(f"{label}, again", "s", second, *goals)
    bench.note_floor()
    bench.stage.discard(floor)


def tar(bench):
    where = bench.complete(
        "small", lambda path: make_files(path, SMALL, SMALL_FOLDERS,
                                         (1000, 4000, 8000, 16000, 30000), 2), btfs=not bench.quick)

    def archive(place):
        begin = time.monotonic()
        shell(place, 'tar cf - -C "$2" "$3" | cat >/dev/null')
        return SMALL / (time.monotonic() - begin)

    def cold(place):
        place.forget()
        return archive(place)
    floor = bench.add_floor(where)
    label = f"tar c of {SMALL} complete small files"
    for place in where.values():
        archive(place)
    samples = bench.turns(label, where, archive)
    bench.found.add(label, "files/s", samples, Goal(SUBJECT, ">=", 0.7), Goal(CACHED, ">=", 0.7))
    bench.note_floor()
    samples = bench.turns(f"{label}, page cache dropped", where, cold, rounds=3)
    bench.found.add(f"{label}, page cache dropped", "files/s", samples, Goal(SUBJECT, ">=", 0.7))
    bench.note_floor()
    bench.stage.discard(floor)


def folder(bench):
    """From one seed of 100 Mbit/s, 20 ms away: every file of a folder in its order, from the mount's
    start on. The share is of what TCP can carry on that line."""
    from netlab import Netlab  # tests/netlab
    stage, count, size = bench.stage, 2000, 32 * KIB
    name, piece = "folder", 256 * KIB
    make_files(stage.native / name, count, 20, (size,), 3)
    manifest = stage.publish(name, piece)
    if SUBJECT not in bench.only:
        return
    with Netlab() as lab:
        delay = f"{LINK_RTT * 1e6 / 4:.0f}us"
        far = lab.host("seed", up=f"{LINK_BITS / 1e6:.0f}mbit", delay=delay)
        here = lab.host("client", delay=delay)
        far.start("seed", [stage.binary, "seed", manifest, stage.native / name, "--listen",
                           "0.0.0.0:6881"]).wait_text("seeding", 60)
        here.run(["ping", "-c", 1, far.ip4])
        for label, options in (("everything fetched", []), ("--on-demand", ["--on-demand"])):
            shares, extra = [], []
            for _ in range(1 if bench.quick else 3):
                mounted = stage.swarmfs([manifest], [f"{far.ip4}:6881"], options, host=here)
                try:
                    mounted.wait_visible(name)
                    cat(mounted.place(name))
                    took = time.monotonic() - mounted.client.began
                    status = mounted.status(stage.binary)["torrents"][0]
                finally:
                    stage.discard(mounted)
                shares.append(count * size * 8 / took / (LINK_BITS * TCP_SHARE))
                extra.append(status["downloaded"] / (count * size))
            label = f"{count} files of 32 KiB not yet here, in folder order, {label}"
            bench.found.add(f"{label}: share of the line", "", {SUBJECT: shares},
                            Goal(SUBJECT, ">=", 0.9, times_ext4=False))
            bench.found.add(f"{label}: bytes fetched for each byte", "", {SUBJECT: extra},
                            Goal(SUBJECT, "<=", 1.01, times_ext4=False))


def idle(bench):
    """Anonymous memory of mounts that nobody reads, without peers."""
    stage = bench.stage
    manifest, _ = stage.torrent(
        "tree", lambda path: make_files(path, TREE, TREE_FOLDERS, (1000,), 1), MIB)
    many = []
    for number in range(TORRENTS):
        name = f"torrent {number:03d}"
        make_file(stage.native / name, MIB)
        many.append(stage.publish(name, 64 * KIB))
    if SUBJECT not in bench.only:
        return
    one = stage.swarmfs(many[:1], options=["--on-demand"])
    all_of_them = stage.swarmfs(many, options=["--on-demand"])
    tree = stage.swarmfs([manifest], options=["--on-demand"])
    for mounted, name in ((one, "torrent 000"), (all_of_them, f"torrent {TORRENTS - 1:03d}"),
                          (tree, "tree")):
        mounted.wait_visible(name)
    shell(tree.place("tree"), 'find "$1" -ls >/dev/null')
    time.sleep(3)
    bench.found.add(f"memory: {TREE} files mounted and listed", "MiB",
                    {SUBJECT: [tree.anonymous() / MIB]},
                    Goal(SUBJECT, "<=", 64, times_ext4=False))
    each = (all_of_them.anonymous() - one.anonymous()) / (TORRENTS - 1) / MIB
    bench.found.add(f"memory: each of {TORRENTS} torrents mounted, idle", "MiB", {SUBJECT: [each]},
                    Goal(SUBJECT, "<=", 1, times_ext4=False))
    for mounted in (one, all_of_them, tree):
        stage.discard(mounted)


CASES = {"warm": warm, "dropped": dropped, "memory": memory, "find": find, "tar": tar,
         "folder": folder, "idle": idle}
