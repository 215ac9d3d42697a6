"""Speed and memory of a cell of each algorithm on each task."""

import time

from .cells import IMAGES, OTHERS, Game, compute, fitting, small
from .library import ALGORITHMS, Placement


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
