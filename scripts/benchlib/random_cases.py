"""Cold reads of 4 KiB at random places, and seeks: what one read costs while a program waits."""
import random
import statistics

from . import steps
from .contestants import Job
from .figures import SUBJECT, Figure
from .stage import DOWN_BITS, MIB, RTT
from .start_cases import FILE, FOUR_SEEDS, SIZE

READS = 40
COLD = RTT / 2  # no answer of a peer is quicker
FILL_SECONDS = 5  # until backfill has filled the link
BUSY_GAP = 0.2
SEEK_RUN = 2 * MIB
SEEKS = 10
NOISE = 1.1  # by so much two medians of one thing may differ


def random_v2(run):
    with _stage(run, (FILE, "v2", 4 * MIB), "swarmfs") as stage:
        idle = {"p50": (1.3 * RTT, "<= 1.3 RTT"), "p99": (3 * RTT, "<= 3 RTT")}
        busy = {"p50": (2 * RTT, "<= 2 RTT"), "p99": (5 * RTT, "<= 5 RTT")}
        _reads(run, stage, "random read, v2, swarmfs seeds, idle", 4 * MIB, idle)
        _reads(run, stage, "random read, v2, swarmfs seeds, idle, 3 s apart", 4 * MIB, idle, gap=3)
        _reads(run, stage, "random read, v2, swarmfs seeds, with backfill", 4 * MIB, busy,
               backfill=True)


def random_v1(run):
    floor = RTT + 8 * MIB / DOWN_BITS
    with _stage(run, (FILE, "v1", MIB), "libtorrent") as stage:
        for name, factor, backfill in (("idle", 1.3, False), ("with backfill", 2, True)):
            goal = (factor * floor, f"<= {factor} x (RTT + piece) ({1e3 * factor * floor:.0f} ms)")
            _reads(run, stage, f"random read, v1, 1 MiB, libtorrent seeds, {name}", MIB,
                   {"p50": goal}, backfill=backfill)


def seeks(run):
    """The second and the tenth seek of a reader that reads on for a while after each."""
    label = "seek, v2, swarmfs seeds"
    took = {}
    with _stage(run, (FILE, "v2", 4 * MIB), "swarmfs") as stage:
        for name in run.contestants:
            for number in range(run.times(name, 2 if run.quick else 5)):
                room = SIZE // (SEEKS + 2)
                rng = random.Random(f"seeks {number}")
                places = [slot * room + rng.randrange(room // 3) // 4096 * 4096
                          for slot in rng.sample(range(1, SEEKS + 2), SEEKS)]
                job = Job("seeks", {"places": places, "run": SEEK_RUN})
                outcome = run.measure(name, label, stage, [job], on_demand=True, limit=150)
                if outcome:
                    took.setdefault(name, []).append(outcome.results[0]["latencies"])
    run.found.distribution(label + ", all", {c: sum(v, []) for c, v in took.items()}, RTT)
    nth = {n: {c: statistics.median(r[n - 1] for r in v) for c, v in took.items()}
           for n in (1, 2, 10)}
    for n, values in nth.items():
        limit = NOISE * nth[1][SUBJECT] if n > 1 and SUBJECT in nth[1] else None
        run.found.figures.append(Figure(f"{label}, number {n}, median", "s", values, limit,
                                        f"<= {NOISE} x the first" if n > 1 else "", rtt=RTT))


def _stage(run, torrent, kind):
    run.material.file(FILE, SIZE)
    return run.stage(torrent, kind, FOUR_SEEDS)


def _reads(run, stage, label, piece, goals, gap=0, backfill=False):
    took, on_wire = {}, []
    for name in run.contestants:
        subject = name == SUBJECT
        count = READS if subject else 10
        if run.quick and gap:
            count = min(count, 15)
        for number in range(1 if run.quick else 5 if subject else 2):
            rng = random.Random(f"{label} {number}")
            pieces = rng.sample(range(1, SIZE // piece), min(SIZE // piece - 1, 4 * READS))
            job = Job("random", {
                "places": [p * piece + rng.randrange(piece // 4096) * 4096 for p in pieces],
                "count": count, "gap": BUSY_GAP if backfill else gap, "cold_above": COLD,
                "settle": FILL_SECONDS if backfill else 1})
            with steps.tap(stage, 240) as events:
                outcome = run.measure(name, label, stage, [job], on_demand=not backfill, limit=200)
            if outcome is None:
                continue
            took.setdefault(name, []).extend(outcome.results[0]["latencies"])
            if subject:
                on_wire += [steps.of_read(events, span, piece, piece == MIB)
                            for span in outcome.results[0]["spans"]]
    run.found.distribution(label, took, RTT, goals, shown=("p50", "p99"))
    run.found.steps[label] = RTT, {SUBJECT: on_wire}
