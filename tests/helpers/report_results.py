"""Results for the tests of the report: full, thin, broken and unfinished ones."""

from pathlib import Path

import numpy as np

import mmbench
from mmbench.analysis.leaderboard import boards
from mmbench.analysis.report.sections import RANKED, SECTIONS
from mmbench.analysis.report.sections.base import Section, Table
from mmbench.analysis.results import Results, gather
from mmbench.store.folder import Store

TOYS = ("bilinear", "bilinear[box=5]", "quadratic")
GAUSSIANS = "four_gaussians[hidden=8,noise=4,batch=16]"
DIGITS = "digits01[hidden=8,batch=16]"
IMAGES = (
    "frechet_distance[features=digitscnn,count=20]",
    "classifier_score[features=digitscnn,count=20]",
)
HOSTILE = '<script>alert("x")</script> & $m^2$ …'


FAILING_ALGORITHM = '''
from dataclasses import dataclass
from mmbench import Algorithm, Cost, Source


@dataclass(frozen=True, kw_only=True)
class Breaks(Algorithm):
    """Breaks <b>soon</b>."""

    source = Source(authors="A & B", year=2024, title="<i>On breaking</i>")

    @property
    def cost(self):
        return Cost(grad_x=1, grad_y=1)

    def init(self, oracle, z):
        return ()

    def step(self, oracle, z, state):
        raise ValueError("no <i>further</i> than this")
'''


def compute_results(folder: Path) -> Results:
    """Compute toys, a GAN of points, one of images, and a broken cell."""
    store = folder / "store"
    mine = folder / "mine.py"
    mine.write_text(FAILING_ALGORITHM, encoding="utf-8")
    few = {"seeds": 3, "steps": 12, "records": 4, "store": store}
    broken = f"{HOSTILE} = {mine}:Breaks"
    mmbench.run(TOYS, ["GDA = gda", "EG = extragradient", broken], **few)
    mmbench.run([GAUSSIANS], ["GDA = gda[step_size=0.001]"], **few)
    mmbench.run([DIGITS], ["GDA = gda[step_size=0.01,direction=adam]"], IMAGES, **few)
    mmbench.run(["dirac_gan"], ["GDA = gda"], **few | {"seeds": 9})
    return gather(Store(store))


def section_of(name: str, results: Results) -> Section | None:
    """Return a section of the page, ranked or not."""
    if name in RANKED:
        return RANKED[name](results, boards(results))
    return SECTIONS[name](results)


def only(results: Results, **wanted: str) -> Results:
    """Return the results of cells with a label or task."""
    footers = {
        key: footer
        for key, footer in results.footers.items()
        if all(footer[name] == value for name, value in wanted.items())
    }
    frame = results.frame[results.frame["key"].isin(footers)]
    return Results(frame.reset_index(drop=True), footers, results.store)


def first_seeds(results: Results, seeds: int) -> Results:
    """Return the results of the first seeds only."""
    frame = results.frame[results.frame["seed"] < seeds]
    return results._replace(frame=frame.reset_index(drop=True))


def with_missing_values(results: Results) -> Results:
    """Return results without metrics of the second run, and without a column."""
    frame = results.frame.copy()
    metrics = frame.columns[frame.columns.get_loc("reason") + 1 : -2]
    frame.loc[frame["seed"] == 1, metrics] = np.nan
    frame["field_norm"] = np.nan
    return results._replace(frame=frame)


def without_metrics(results: Results) -> Results:
    """Return results without any metric column and without targets."""
    metrics = results.frame.columns[results.frame.columns.get_loc("reason") + 1 : -2]
    footers = {
        key: footer | {"columns": [], "target": ""}
        for key, footer in results.footers.items()
    }
    return Results(results.frame.drop(columns=metrics), footers, results.store)


def without_target(results: Results) -> Results:
    """Return results of tasks without targets."""
    footers = {key: footer | {"target": ""} for key, footer in results.footers.items()}
    return results._replace(footers=footers)


def with_unfinished(results: Results, *tasks: str) -> Results:
    """Return results in which the cells of some tasks, or all, are unfinished."""
    keys = [
        key
        for key, footer in results.footers.items()
        if not tasks or footer["task"] in tasks
    ]
    progress = {"planned": 5, "ended": 0, "runs": 3, "step": 7}
    footers = {
        key: footer | ({"at_work": progress, "ideal": {}} if key in keys else {})
        for key, footer in results.footers.items()
    }
    running = results.frame["key"].isin(keys)
    frame = results.frame.assign(
        status=results.frame["status"].mask(running, "running")
    )
    # The last record is still to come.
    frame = frame[~running | (frame["step"] < 12)].reset_index(drop=True)
    arrays = {key: results.store.arrays(key) for key in keys}
    return Results(frame, footers, results.store, arrays, len(footers) + 3)


VIEWS = {
    "everything": lambda results: results,
    "one algorithm": lambda results: only(results, label="GDA"),
    "one cell": lambda results: only(results, label="GDA", task="bilinear"),
    "a broken algorithm": lambda results: only(results, label=HOSTILE),
    "one seed": lambda results: first_seeds(results, 1),
    "missing values": with_missing_values,
    "no metrics": without_metrics,
    "no target": without_target,
    "images only": lambda results: only(results, task=DIGITS),
    "some unfinished": lambda results: with_unfinished(results, "bilinear", DIGITS),
    "all unfinished": with_unfinished,
}


def texts_of(table: Table) -> list[list[str]]:
    """Return the texts of a table, row by row."""
    return [[cell.text for cell in row] for row in table.rows]
