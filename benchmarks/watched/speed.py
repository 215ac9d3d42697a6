"""Speed and memory of a cell of each algorithm on each task, and counts of a step."""

import time

from .cells import IMAGES, OTHERS, Game, compute, count_step, fitting, small
from .library import ALGORITHMS, Placement

# Small games of different kinds, so that each algorithm plays one.
COUNTED = ["bilinear", "finite_sum_bilinear", "matrix_game", "four_gaussians"]


class Cells:
    """A cell of few steps, from its game to its trajectory."""

    params = (list(ALGORITHMS), OTHERS, [1, 32, 128, 512])
    param_names = ("algorithm", "task", "runs")
    timer = time.process_time  # of one thread, so others on the machine count less
    warmup_time = 0.05  # what torch loads late
    repeat = (2, 5, 0.5)
    timeout = 300

    def setup(self, algorithm: str, task: str, runs: int) -> None:
        self.cell = small(algorithm, task, runs)

    def time_cell(self, algorithm: str, task: str, runs: int) -> None:
        compute(self.cell)

    time_cell.version = "1"

    def peakmem_cell(self, algorithm: str, task: str, runs: int) -> None:
        compute(self.cell)

    peakmem_cell.version = "1"


class ImageCells(Cells):
    """Cells of tasks with images of published data sets: one run, tiny networks."""

    params = (list(ALGORITHMS), IMAGES, [1])


class CompiledCells:
    """Cells whose steps were compiled before: loops over numbers and over arrays."""

    params = (
        ["gda", "cgd"],
        ["bilinear", "four_gaussians[hidden=16,noise=4,batch=32,loss=saturating]"],
    )
    param_names = ("algorithm", "task")
    timer = time.process_time
    timeout = 300

    def setup(self, algorithm: str, task: str) -> None:
        own = {"iterations": "4"} if algorithm == "cgd" else {}
        self.cell = fitting(algorithm, Game(task, 200), 32, own, "float32")
        self.placement = Placement(compiled=True)
        compute(self.cell, self.placement)  # compiles

    def time_steps(self, algorithm: str, task: str) -> None:
        compute(self.cell, self.placement)

    time_steps.version = "1"


class Steps:
    """An eager step, counted: a needless operation shows where times hide it."""

    params = (list(ALGORITHMS), COUNTED)
    param_names = ("algorithm", "task")
    timeout = 300

    def setup(self, algorithm: str, task: str) -> None:
        self.cell = small(algorithm, task, 1)

    def track_operations(self, algorithm: str, task: str) -> float:
        return count_step(self.cell).operations

    track_operations.unit = "operations"
    track_operations.version = "1"

    def track_written(self, algorithm: str, task: str) -> float:
        return count_step(self.cell).written

    track_written.unit = "bytes"
    track_written.version = "1"
