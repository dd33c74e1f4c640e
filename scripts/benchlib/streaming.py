"""scripts/bench streaming: what a reader waits for, over links of 50 ms and 100 Mbit/s.

Four seeds of 40 Mbit/s, a tracker and the client are hosts of tests/netlab; TCP only. swarmfs is
measured beside btfs and libtorrent's own deadlines. Every byte that is read is compared.
"""
import argparse
import json
import os
import pathlib
import platform
import signal
import sys
import time

from .command import add_options, chosen, netlab_missing

ALLOWED_CC = pathlib.Path("/proc/sys/net/ipv4/tcp_allowed_congestion_control")
CASES = ("start-v2", "start-v1", "start-magnet", "start-dht", "metadata", "random-v2", "random-v1",
         "seeks", "player", "crowd", "sequential")


def arguments(words):
    parser = argparse.ArgumentParser(prog="bench streaming",
                                     description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer starts, reads and seconds")
    parser.add_argument("--cases", metavar="NAMES", help="of " + ",".join(CASES))
    parser.add_argument("--only", metavar="NAMES", help="of swarmfs,btfs,libtorrent")
    parser.add_argument("--film", type=int, metavar="SECONDS",
                        help="how long the player plays (60, or 30 with --quick)")
    parser.add_argument("--cc", help="TCP's congestion control on every host (the kernel's choice)")
    parser.add_argument("--trace", type=pathlib.Path, metavar="DIR",
                        help="mount with -vv and keep the logs there")
    add_options(parser)
    args = parser.parse_args(words)
    args.cases = chosen(parser, args.cases, CASES)
    if args.cc and args.cc not in ALLOWED_CC.read_text().split():
        # Namespaces may use only what everybody may, and it is not for a benchmark to change that.
        parser.error(f"hosts may not use {args.cc} here: it is not in {ALLOWED_CC}")
    return args


def measure(args, binary):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the lab and files are cleared
    from . import contestants, metadata_cases, play_cases, random_cases, sequential_cases, start_cases
    from .run import Run
    from .stage import Material
    functions = {
        "start-v2": start_cases.start_v2, "start-v1": start_cases.start_v1,
        "start-magnet": start_cases.start_magnet, "start-dht": start_cases.start_dht,
        "metadata": metadata_cases.metadata,
        "random-v2": random_cases.random_v2, "random-v1": random_cases.random_v1,
        "seeks": random_cases.seeks, "player": play_cases.player, "crowd": play_cases.crowd,
        "sequential": sequential_cases.sequential}
    everybody = contestants.available(binary, args.trace)
    if args.only:
        everybody = {n: c for n, c in everybody.items() if n in args.only.split(",")}
    if not everybody:
        sys.exit("bench: nothing to measure")
    versions = {n: c.version for n, c in everybody.items()}
    with Material() as material:
        film = args.film or (30 if args.quick else 60)
        run = Run(everybody, binary, args.quick, film, args.cc, args.trace, material)
        for name in args.cases:
            try:
                functions[name](run)
            except (KeyboardInterrupt, SystemExit):
                run.found.cut_off = name  # what was measured before is worth showing
                break
            if args.json:  # as it comes: a run takes an hour
                write(args, run.found, versions, "not ended yet")
    run.found.judge_waste()
    return run.found, versions


def write(args, found, versions, described):
    args.json.write_text(json.dumps({"described": described, "versions": versions,
                                     "quick": args.quick, **found.as_json()}, indent=1) + "\n")


def show(found, versions, described):
    print(described + "\n")
    if found.cut_off:
        print(f"CUT OFF in {found.cut_off}: this and what follows it were not measured to the end\n")
    print(found.table(versions) + "\n")
    print("Distributions, in ms:\n\n" + found.distributions() + "\n")
    for label in found.steps:
        print(f"Steps on the wire, medians since the beginning:\n\n{found.step_table(label)}\n")
    for figure in found.figures:
        if figure.met() is not None:
            print(f"{'met   ' if figure.met() else 'MISSED'} {figure.label}: "
                  f"{figure.cell('swarmfs')} (goal {figure.goal})")
    for name, label, why in found.failures:
        print(f"FAILED {name}, {label}: {why.splitlines()[0]}")


def main(words, prepare, build):
    args = arguments(words)
    prepare(netlab_missing)
    if args.trace:
        args.trace.mkdir(parents=True, exist_ok=True)
    binary = args.binary.resolve() if args.binary else build()
    began, load = time.monotonic(), os.getloadavg()[0]
    found, versions = measure(args, binary)

    from .stage import congestion_control
    described = (f"1 GiB, RTT 50 ms, 100 Mbit/s down, four seeds of 40 Mbit/s, TCP only "
                 f"({congestion_control(args.cc)}); {os.cpu_count()} cores, Linux "
                 f"{platform.release()}, load {load:.1f} before and {os.getloadavg()[0]:.1f} after "
                 f"{time.monotonic() - began:.0f} s")
    show(found, versions, described)
    if args.json:
        write(args, found, versions, described)
    missed = any(figure.met() is False for figure in found.figures)
    broken = any(name == "swarmfs" for name, _, _ in found.failures)
    return 1 if broken or found.cut_off or (args.check and missed) else 0
