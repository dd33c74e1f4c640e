"""One streaming run: what it has to measure with, and how one measurement is taken."""
import dataclasses
import pathlib
import sys

from .contestants import Failed, Hopeless
from .figures import SUBJECT, Findings
from .stage import Material, Stage, load

RIVAL_TRIES = 3  # one that crashes now and then is still compared, and its crashes are shown
RIVAL_SHARE = 4  # times rarer than swarmfs: they take long, and their figures are far apart enough


@dataclasses.dataclass
class Run:
    contestants: dict
    binary: pathlib.Path
    quick: bool
    film: int  # seconds that the player plays
    cc: str
    trace: pathlib.Path
    material: Material
    found: Findings = dataclasses.field(default_factory=Findings)
    given_up: set = dataclasses.field(default_factory=set)  # (client, label) that failed every try

    def stage(self, torrent, kind, seeds, **how):
        """`torrent` is (name, version, size of a piece)."""
        return Stage(self.material, torrent, kind, seeds, self.binary, cc=self.cc, **how)

    def times(self, name, count):
        """How often to measure a client what swarmfs is measured `count` times."""
        return count if name == SUBJECT else max(1, count // RIVAL_SHARE)

    def measure(self, name, label, stage, jobs, **how):
        """An Outcome, or None when it failed, which is noted."""
        if (name, label) in self.given_up:
            return None
        print(f"{label}: {name}", file=sys.stderr, flush=True)
        self.found.loads.setdefault(label, []).append(load())
        for _ in range(1 if name == SUBJECT else RIVAL_TRIES):
            try:
                outcome = self.contestants[name].run(
                    stage, jobs, label=label.replace(" ", "-").replace("/", "-"), **how)
            except Failed as failure:
                self.found.failures.append((name, label, str(failure)))
                print(f"  failed: {failure}", file=sys.stderr)
                if isinstance(failure, Hopeless):
                    break
                continue
            if outcome.status:
                self.found.note_status(outcome.status)
            return outcome
        self.given_up.add((name, label))
        return None
