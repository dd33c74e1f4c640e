"""What a run of scripts/bench files found: rows of figures, the goals they are held to, a table."""
import dataclasses
import statistics

from .figures import markdown

EXT4, SUBJECT, CACHED, BTFS = "ext4", "swarmfs", "swarmfs, no passthrough", "btfs"
CLIENTS = (EXT4, SUBJECT, CACHED, BTFS)
SMALL_PAGES = "ext4, 4 KiB pages"
FLOOR = "fuse_floor"


@dataclasses.dataclass(frozen=True)
class Goal:
    """For one client: its figure is at least (or at most) `bound`, or `bound` times ext4's."""

    client: str
    sense: str  # ">=" or "<="
    bound: float
    times_ext4: bool = True

    def value(self, row):
        value = row.median(self.client)
        if value is None or not self.times_ext4:
            return value
        native = row.median(EXT4)
        # A ratio of speeds: of times it is turned round, so that more is always faster.
        return None if not native else value / native

    def met(self, row):
        value = self.value(row)
        if value is None:
            return None
        return value >= self.bound if self.sense == ">=" else value <= self.bound

    def text(self, row):
        unit = "x ext4" if self.times_ext4 else row.unit
        return f"{self.client}: {self.value(row):.3g} {unit} (goal {self.sense} {self.bound:g})"


@dataclasses.dataclass
class Row:
    """One line of the table: `samples` is {client: [figures, one a round]}."""

    label: str
    unit: str
    samples: dict
    goals: tuple = ()

    def median(self, client):
        values = self.samples.get(client)
        return statistics.median(values) if values else None

    def cells(self):
        def cell(value):
            return "–" if value is None else f"{value:.3g}"

        def ratio(client):
            value, native = self.median(client), self.median(EXT4)
            return "–" if value is None or not native else f"{value / native:.2f}×"
        verdicts = [goal.met(self) for goal in self.goals]
        judged = [v for v in verdicts if v is not None]
        verdict = "" if not judged else "met" if all(judged) else "**missed**"
        goals = ", ".join(f"{g.sense} {g.bound:g}{'×' if g.times_ext4 else ''}" for g in self.goals)
        return [f"{self.label}, {self.unit}", *(cell(self.median(c)) for c in CLIENTS),
                ratio(SUBJECT), ratio(CACHED), goals, verdict]


class Found:
    """Everything a run found, as it comes."""

    def __init__(self):
        self.rows, self.failures, self.notes = [], [], []

    def add(self, label, unit, samples, *goals):
        self.rows.append(Row(label, unit, samples, goals))

    def table(self, versions):
        head = ["", *(f"{c} {versions.get(c, '')}".strip() for c in CLIENTS),
                f"{SUBJECT} / ext4", "no passthrough / ext4", "goal", ""]
        return markdown([head, ["---"] + ["---:"] * (len(head) - 3) + ["---", "---"]]
                        + [row.cells() for row in self.rows])

    def verdicts(self):
        """[(sentence, met)] of every goal that this run can judge."""
        return [(f"{row.label}: {goal.text(row)}", goal.met(row))
                for row in self.rows for goal in row.goals if goal.met(row) is not None]

    def as_json(self):
        return {"rows": [{"label": r.label, "unit": r.unit, "samples": r.samples,
                          "medians": {c: r.median(c) for c in r.samples},
                          "goals": [{**dataclasses.asdict(g), "value": g.value(r),
                                     "met": g.met(r)} for g in r.goals]} for r in self.rows],
                "failures": self.failures, "notes": self.notes}
