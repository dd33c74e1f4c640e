"""Players: programs that need so many bytes a second and stand still when they do not come."""
from .contestants import Job, Scan
from .figures import Figure
from .stage import DOWN_BITS, MIB, RTT
from .start_cases import FILE, FOUR_SEEDS, SIZE

STEADY_BITS = 20e6
SLOW = {"up": "1mbit", "delay": "137500us"}  # a round trip of 300 ms
SHARE = 0.8  # of the capacity of the seeds that neither die nor stall
CROWD_SHARE = 0.25  # of the link for each of the two players
FILES, FILE_BYTES = 2000, 80 << 10


def player(run):
    """Six seeds: two steady, two that stall for 10 s in the middle of blocks, one that dies without
    a word, one that is slow and far away."""
    label = "player, six seeds"
    seconds = run.film
    rate = SHARE * (2 * STEADY_BITS + 1e6) / 8
    fits = rate * seconds < SIZE
    file = FILE if fits else "long-film.bin"
    run.material.file(file, SIZE if fits else int(rate * seconds * 1.05))
    steady = {"up": f"{STEADY_BITS / 1e6:.0f}mbit"}
    outcomes = {}
    for name in run.contestants:
        with run.stage((file, "v1", MIB), "libtorrent", [steady] * 5 + [SLOW]) as stage:
            stalls = seconds / 6
            up = steady["up"]
            faults = [(stalls, "seed3", {"up": "0"}), (stalls + 10, "seed3", {"up": up}),
                      (seconds / 4, "seed5", {"up": "0", "down": "0"}),
                      (seconds / 2, "seed4", {"up": "0"}), (seconds / 2 + 10, "seed4", {"up": up})]
            job = Job("play", {"rate": rate, "seconds": seconds})
            outcomes[name] = run.measure(name, label, stage, [job], limit=seconds * 3,
                                         during=lambda s=stage, f=faults: s.lab.play(f))
    _report(run, label, outcomes)


def crowd(run):
    """Two players, and an indexer that reads the heads of many files."""
    label = "two players and find"
    seconds = 20 if run.quick else 45
    rate = CROWD_SHARE * DOWN_BITS / 8
    for film in ("one.bin", "two.bin"):
        run.material.file(f"folder/{film}", int(rate * 50))
    for number in range(FILES):
        run.material.file(f"folder/many/{number:04}", FILE_BYTES)
    outcomes = {}
    with run.stage(("folder", "v1", MIB), "libtorrent", FOUR_SEEDS) as stage:
        for name in run.contestants:
            if name == "libtorrent":
                continue
            options = {"rate": rate, "seconds": seconds}
            jobs = [Job("play", options, "one.bin"), Job("play", options, "two.bin"), Scan("many")]
            outcomes[name] = run.measure(name, label, stage, jobs, limit=seconds * 6)
    _report(run, label, outcomes)


def _report(run, label, outcomes):
    done = {n: (o.began, o.results) for n, o in outcomes.items() if o}
    players = {n: [r for r in results if "stalls" in r] for n, (_, results) in done.items()}
    run.found.players[label] = players
    add = run.found.figures.append
    add(Figure(f"{label}: first byte", "s",
               {n: max(p["first"] for p in ps) - done[n][0] for n, ps in players.items()}, rtt=RTT))
    add(Figure(f"{label}: first byte to playing", "s",
               {n: max(p["playing"] - p["first"] for p in ps) for n, ps in players.items()},
               1.0, "<= 1 s"))
    add(Figure(f"{label}: stalls", "", {n: sum(p["stalls"] for p in ps)
                                        for n, ps in players.items()}, 0, "none"))
    add(Figure(f"{label}: stalled", "s", {n: sum(p["stalled"] for p in ps)
                                          for n, ps in players.items()}))
