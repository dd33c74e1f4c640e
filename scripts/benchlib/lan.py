"""scripts/bench lan: swarmfs beside btfs, libtorrent and aria2 on an unshaped bridge.

Two libtorrent seeds, a tracker and the client each have a network namespace. Every client is
measured once per round, in an order that rotates; the table shows the medians.
"""
import argparse
import json
import os
import platform
import sys

from .command import add_options

RIVAL_TRIES = 3  # one that crashes now and then is still compared, and its crashes are shown


def arguments(words):
    parser = argparse.ArgumentParser(prog="bench lan", description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5, help="rounds (default 5)")
    parser.add_argument("--size", type=int, default=256, metavar="MIB", help="size of the file")
    parser.add_argument("--piece", type=int, default=1024, metavar="KIB", help="size of a piece")
    parser.add_argument("--format", choices=("v1", "v2", "hybrid"), default="v1")
    parser.add_argument("--only", metavar="NAMES", help="of swarmfs,btfs,libtorrent,aria2")
    add_options(parser)
    return parser.parse_args(words)


def measure(args, clients):
    from . import clients as clients_module
    from .swarm import Swarm, touch_memory
    rounds = {c.name: [] for c in clients}
    rounds["native"] = []
    failures = []
    touch_memory()
    with Swarm(args.size << 20, args.piece << 10, args.format) as swarm:
        for number in range(args.runs):
            turn = number % len(clients)
            for client in clients[turn:] + clients[:turn]:
                print(f"round {number + 1} of {args.runs}: {client.name}", file=sys.stderr)
                for _ in range(1 if client.name == "swarmfs" else RIVAL_TRIES):
                    try:
                        rounds[client.name].append(client.measure(swarm, number))
                        break
                    except clients_module.Failed as failure:
                        failures.append((client.name, number + 1, str(failure)))
                        print(f"  failed: {failure}", file=sys.stderr)
            warm = clients_module.Reader("warm", swarm.native, swarm).result()
            rounds["native"].append({"warm_s": warm["seconds"]})
    return rounds, failures


def rig_missing():
    import rig
    return rig.missing()


def main(words, prepare, build):
    args = arguments(words)
    prepare(rig_missing)
    from . import clients as clients_module, report
    wanted = args.only.split(",") if args.only else None
    binary = args.binary
    if binary is None and (wanted is None or "swarmfs" in wanted):
        binary = build()
    clients, absent = clients_module.available(binary)
    clients = [c for c in clients if wanted is None or c.name in wanted]
    if not clients:
        sys.exit("bench: nothing to measure")
    for name in absent:
        if wanted is None or name in wanted:
            print(f"bench: {name} is not here and is left out", file=sys.stderr)

    rounds, failures = measure(args, clients)
    size = args.size << 20
    table = report.medians(rounds, size)
    versions = {c.name: c.version for c in clients}
    print(f"{args.size} MiB, pieces of {args.piece} KiB, {args.format}, two libtorrent seeds, "
          f"{os.cpu_count()} cores, Linux {platform.release()}; medians of {args.runs}\n")
    print(report.markdown(table, versions))
    judged = report.goals(table)
    if judged:
        print()
    for sentence, met in judged:
        print(f"{'met   ' if met else 'MISSED'} {sentence}")
    for name, number, why in failures:
        print(f"FAILED {name}, round {number}: {why.splitlines()[-1]}")
    if args.json:
        args.json.write_text(json.dumps(
            {"size": size, "piece": args.piece << 10, "format": args.format, "runs": args.runs,
             "versions": versions, "medians": table, "rounds": rounds, "failures": failures},
            indent=1) + "\n")
    missed = any(not met for _, met in judged)
    broken = any(name == "swarmfs" for name, _, _ in failures)
    return 1 if broken or (args.check and missed) else 0

