"""scripts/bench files: complete and incomplete files beside the same files on ext4, and on btfs.

swarmfs is measured with passthrough (the kernel reads complete files from the disk itself: root,
Linux 6.9) and without. Clients take turns in every round; the table shows medians. What is done
already is shown, and written to --json, also when the run is ended early.
"""
import argparse
import json
import os
import pathlib
import platform
import shutil
import signal
import subprocess
import sys
import time

from .command import add_options, netlab_missing

CASES = ("warm", "dropped", "memory", "find", "tar", "folder", "idle")
NAMES = {"swarmfs": "swarmfs", "cached": "swarmfs, no passthrough", "btfs": "btfs"}


def arguments(words):
    parser = argparse.ArgumentParser(prog="bench files", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds, smaller files")
    parser.add_argument("--cases", metavar="NAMES", help="of " + ",".join(CASES))
    parser.add_argument("--only", metavar="NAMES",
                        help="beside ext4, of " + ",".join(NAMES) + " (cached: no passthrough)")
    parser.add_argument("--folder", type=pathlib.Path, metavar="DIR", default="/var/tmp",
                        help="a folder on the disk to measure on (/var/tmp)")
    add_options(parser)
    args = parser.parse_args(words)
    for option, known in (("cases", CASES), ("only", NAMES)):
        chosen = getattr(args, option).split(",") if getattr(args, option) else list(known)
        for name in chosen:
            if name not in known:
                parser.error(f"--{option}: there is no {name!r}; there are {', '.join(known)}")
        setattr(args, option, chosen)
    args.only = [NAMES[n] for n in args.only]
    return args


SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Ended(Exception):
    """By a signal, whose number it carries."""


def on_signals(action):
    for number in SIGNALS:
        signal.signal(number, action)


def end(number, _):
    on_signals(signal.SIG_IGN)  # what follows is clearing up, which must not be cut short
    raise Ended(number)


def measure_cases(args, bench):
    from .files_cases import CASES as functions
    from .files_stage import Failed
    try:
        for name in args.cases:
            try:
                functions[name](bench)
            except (Failed, OSError, AssertionError, RuntimeError,
                    subprocess.SubprocessError) as failure:  # the other cases go on
                bench.failed("swarmfs", name, failure)
    finally:
        on_signals(signal.SIG_IGN)


def measure(args, binary, found):
    """The number of the signal that ended it early, or None. What it found is in `found`."""
    from .files_cases import Bench
    from .files_stage import Stage
    from .swarm import touch_memory
    # Also because pages of 4 KiB that lie scattered in a memory long in use are read at a third of
    # the speed of the large ones that ext4 has: so they lie together, as they do after a start.
    touch_memory()
    on_signals(end)
    try:
        with Stage(binary, args.folder) as stage:
            measure_cases(args, Bench(stage, found, args.only, args.quick))
    except Ended as ended:
        return ended.args[0]
    return None


def main(words, prepare, build):
    args = arguments(words)
    prepare(netlab_missing)
    from . import clients
    from .files_report import BTFS, CACHED, SUBJECT, Found
    if BTFS in args.only and not shutil.which("btfs"):
        print("bench: btfs is not here and is left out", file=sys.stderr)
        args.only.remove(BTFS)
    binary = args.binary.resolve() if args.binary else build()
    version = clients.version_of(binary, "swarmfs")
    versions = {SUBJECT: version, CACHED: version}
    if BTFS in args.only:
        versions[BTFS] = clients.version_of("btfs", "btfs version:")
    found, began, load = Found(), time.monotonic(), os.getloadavg()[0]
    number = measure(args, binary, found)

    described = (f"{os.cpu_count()} cores, Linux {platform.release()}, load {load:.1f} before and "
                 f"{os.getloadavg()[0]:.1f} after {time.monotonic() - began:.0f} s")
    if args.json:
        args.json.write_text(json.dumps({"described": described, "versions": versions,
                                         "quick": args.quick, "ended_early": number is not None,
                                         **found.as_json()}, indent=1) + "\n")
    verdicts = found.verdicts()
    print(f"{described}\n\n{found.table(versions)}\n")
    for sentence, met in verdicts:
        print(f"{'met   ' if met else 'MISSED'} {sentence}")
    for note in found.notes:
        print(f"note   {note}")
    for name, label, why in found.failures:
        print(f"FAILED {name}, {label}: {why.splitlines()[0]}")
    if number is not None:
        print("bench: ended early; the cases above are those that were done", file=sys.stderr)
        return 128 + number
    broken = any(name != BTFS for name, _, _ in found.failures)
    return 1 if broken or (args.check and not all(met for _, met in verdicts)) else 0
