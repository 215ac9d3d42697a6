"""Supervise: cells in a child process, and those that must be ended."""

import copy
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from mmbench.algorithms import ALGORITHMS
from mmbench.core.errors import ClusterError
from mmbench.core.placement import Placement
from mmbench.core.serialization import to_json
from mmbench.core.status import Status
from mmbench.engine.cell import Cell
from mmbench.engine.recording import Recording
from mmbench.engine.run_cell import run_cell
from mmbench.engine.trajectory import Trajectory
from mmbench.runner import child_process, guarded_process
from mmbench.runner import supervisor as supervisor_module
from mmbench.runner.limits import Limits
from mmbench.runner.plan import metrics_for
from mmbench.runner.supervisor import Supervisor
from mmbench.tasks import TASKS

STEPS, AT = 40, 25  # where the ill-behaved methods misbehave


def cell(algorithm: str, task: str = "bilinear", **options: object) -> Cell:
    """A short cell."""
    built = TASKS.build(task)
    return Cell(
        task=built,
        algorithm=ALGORITHMS.build(algorithm),
        seeds=(0, 1, 2),
        steps=STEPS,
        records=8,
        metrics=metrics_for(built, []),
        **options,
    )


@pytest.fixture
def ill(tmp_path: Path):
    """Makes an algorithm that does something at its step `AT`."""

    def make(deed: str) -> str:
        source = f"""
            import os, signal, sys, time
            from dataclasses import dataclass
            import torch
            from mmbench.algorithms.base import Algorithm
            from mmbench.core.cost import Cost

            HELD = []

            @dataclass(frozen=True, kw_only=True)
            class Ill(Algorithm):
                cost = Cost(grad_x=1, grad_y=1)

                def init(self, oracle, z):
                    return (torch.zeros(len(z), dtype=torch.int64),)

                def step(self, oracle, z, state):
                    if int(state[0][0]) == {AT}:
                        {deed}
                    return z - 0.1 * oracle.field(z), (state[0] + 1,)
        """
        path = tmp_path / "ill.py"
        path.write_text(textwrap.dedent(source))
        return f"{path}:Ill"

    return make


@pytest.fixture(scope="module")
def unlimited() -> Iterator[Supervisor]:
    """One child for many cells."""
    with closing(Supervisor(Limits())) as supervisor:
        yield supervisor


@pytest.fixture
def supervisor(unlimited: Supervisor) -> Iterator[Supervisor]:
    """The same child, or the one after the child that a test has ended."""
    yield unlimited
    unlimited.limits = Limits()


def assert_same(one: Trajectory, other: Trajectory) -> None:
    """Equal but for the clock."""
    assert one.status == other.status
    for mine, theirs in ((one.columns, other.columns), (one.counts, other.counts)):
        assert mine.keys() == theirs.keys()
        for name, values in theirs.items():
            np.testing.assert_array_equal(mine[name], values)
    for name, values in other.arrays.items():
        np.testing.assert_array_equal(one.arrays[name], values)


@pytest.mark.parametrize(
    "one",
    [
        cell("gda"),
        cell("acgd", "four_gaussians[hidden=4,noise=2,batch=8]", keep="all"),
        cell("gda[step_size=(0.3,0.9)]", "quadratic", dtype="float64"),
    ],
    ids=str,
)
def test_a_child_computes_the_same(unlimited: Supervisor, one: Cell) -> None:
    """Bit for bit, one cell after the other in one process."""
    assert_same(unlimited.run(one), run_cell(one))


def test_starts_and_progress_travel(unlimited: Supervisor) -> None:
    """Where runs start goes there, and how far they are comes back."""
    one, starts = cell("gda"), torch.full((3, 2), 7.0)
    output: list[tuple[int, Recording | None]] = []
    found = unlimited.run(
        one, progress=lambda *what: output.append(what), starts=starts
    )
    assert_same(found, run_cell(one, starts=lambda: starts))
    assert sum(steps for steps, _ in output) == 3 * STEPS
    assert output[-1][1].steps == list(found.steps)


def test_reports_that_follow_closely_are_joined(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those of one chunk that goes on; no step is lost, nor what was made before."""
    one, made = cell("gda"), []
    first, second = Recording(one, one.seeds), Recording(one, (one.seeds[0] + 9,))
    monkeypatch.setattr(supervisor_module, "REPORT_SECONDS", 1000.0)
    reports = supervisor_module._Reports(lambda *what: made.append(what))
    for report in ((2, None), (3, first), (4, first), (5, second), (0, None)):
        reports.add(*report)
    reports.end()
    reports.end()
    assert made == [(2, None), (7, first), (5, second), (0, None)]
    monkeypatch.setattr(supervisor_module, "REPORT_SECONDS", 0.0)
    for steps in (1, 2):
        reports.add(steps, first)
        assert made[-1] == (steps, first)


def test_a_held_report_is_made_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where none follows it, once the last one is old enough."""
    one, made = cell("gda"), []
    found = Recording(one, one.seeds)
    monkeypatch.setattr(supervisor_module, "REPORT_SECONDS", 1000.0)
    reports = supervisor_module._Reports(lambda *what: made.append(what))
    reports.add(1, found)
    reports.add(2, found)
    reports.make_if_due()
    assert made == [(1, found)]
    monkeypatch.setattr(supervisor_module, "REPORT_SECONDS", 0.0)
    reports.make_if_due()
    assert made == [(1, found), (2, found)]


@pytest.fixture
def recorded() -> Recording:
    """A recording with one record."""
    one = cell("gda")
    found = Recording(one, one.seeds)
    found.add(0, 0.0, {}, {"distance": np.zeros(3)})
    return found


def test_reports_are_sent_together(recorded: Recording) -> None:
    """Those of a chunk that goes on, before whatever comes next."""
    sent: list[dict[str, Any]] = []
    messages = child_process._ProgressMessages(sent.append)
    messages.begin(may_hold=True)
    messages(1, None)
    assert sent == [{"run_steps": 1, "news": None}]
    messages(2, recorded)
    recorded.add(1, 0.0, {}, {"distance": np.ones(3)})
    messages(3, recorded)
    assert len(sent) == 1
    messages.send()
    recorded.add(2, 0.0, {}, {"distance": np.ones(3)})
    messages(4, recorded)
    recorded.close()
    messages(5, recorded)
    messages.send()
    assert [(one["run_steps"], one["news"]["steps"]) for one in sent[1:]] == [
        (5, [0, 1]),
        (9, [2]),
    ]
    whole = Recording.from_news(recorded.cell, sent[1]["news"], None)
    whole = Recording.from_news(recorded.cell, sent[2]["news"], whole)
    assert whole.steps == recorded.steps
    assert whole.ended
    other = Recording.from_news(recorded.cell, sent[1]["news"], None)
    messages(6, other)
    messages.send()
    assert (sent[3]["news"]["first"], sent[3]["news"]["steps"]) == (0, [0, 1])


def test_what_is_held_is_sent_in_time(
    recorded: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the computation gives no further report; of code of others at once."""
    monkeypatch.setattr(child_process, "HELD_SECONDS", 0.01)
    sent: SimpleQueue[dict[str, Any]] = SimpleQueue()
    messages = child_process._ProgressMessages(sent.put)
    threading.Thread(target=messages.send_in_time, daemon=True).start()
    for _ in range(2):
        messages.begin(may_hold=True)
        messages(2, recorded)
        assert sent.get(timeout=10)["run_steps"] == 2
    monkeypatch.setattr(child_process, "HELD_SECONDS", 1000.0)
    messages.begin(may_hold=False)
    messages(3, recorded)
    assert sent.get(block=False)["run_steps"] == 3


def test_printing_disturbs_nothing(unlimited: Supervisor, ill) -> None:
    """What a method prints does not get between the answers."""
    found = unlimited.run(cell(ill("print('x' * 100000); os.write(1, b'y')")))
    assert set(found.status) == {Status.FINISHED}


HANGING = (
    "while True: pass",
    "time.sleep(1000)",
    "os.kill(os.getpid(), signal.SIGSTOP)",
)


@pytest.mark.parametrize(
    "deed",
    [HANGING[0], *(pytest.param(one, marks=pytest.mark.slow) for one in HANGING[1:])],
)
def test_a_hanging_cell_is_ended(supervisor: Supervisor, ill, deed: str) -> None:
    """Within two seconds of its limit, with all that it had recorded."""
    supervisor.run(cell("gda"))  # so that the child is there
    supervisor.limits = Limits(timeout=1.0)
    begun = time.monotonic()
    found = supervisor.run(cell(ill(deed)))
    assert time.monotonic() - begun < 1 + 2
    assert set(found.status) == {Status.TIMEOUT}
    assert found.reason == "The cell took longer than 1 s."
    assert (found.steps[-1], *found.stopped_at) == (25, 25, 25, 25)
    assert np.isfinite(found.columns["distance"]).all()
    supervisor.limits = Limits()  # the next one has a child of its own
    assert set(supervisor.run(cell("gda")).status) == {Status.FINISHED}


def test_chunks_that_were_done_before_a_limit_have_converged() -> None:
    """What a chunk has reached stands, also where a later chunk is ended."""
    one = replace(cell("gda", "quadratic[a=4,b=0,c=-4]"), seeds=tuple(range(513)))
    records = []

    def record(_steps: int, recording: Recording | None) -> None:
        if recording and recording.seeds[0] == 0:
            records.append(copy.deepcopy(recording.snapshot()))

    whole = run_cell(one, progress=record)
    done = {0: Recording.from_snapshot(one, records[-1])}
    end = supervisor_module._ended_early
    found = end(one, Placement(), done, Status.TIMEOUT, "It took too long.")
    assert list(found.status) == [Status.CONVERGED] * 512 + [Status.TIMEOUT]
    assert list(found.stopped_at) == [*whole.stopped_at[:512], 0]


def test_a_cell_that_eats_memory_is_ended(ill) -> None:
    """Before it has more than a little above its limit."""
    eating = "\n".join(
        (
            "while True:",
            " " * 28 + "HELD.append(torch.ones(2_000_000))",
            " " * 28 + "time.sleep(0.01)",
        )
    )
    with closing(Supervisor(Limits(memory=700 * 2**20))) as supervisor:
        begun = time.monotonic()
        found = supervisor.run(cell(ill(eating)))
    assert time.monotonic() - begun < 30
    assert set(found.status) == {Status.MEMORY}
    assert found.reason == "The cell's process held more than 700 MiB."
    assert found.steps[-1] == AT


@pytest.mark.parametrize(
    ("deed", "how"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "signal SIGKILL"),
        pytest.param("os._exit(0)", "exit code 0", marks=pytest.mark.slow),
        *(
            pytest.param(*pair, marks=pytest.mark.slow)
            for pair in (
                ("os.kill(os.getpid(), signal.SIGSEGV)", "signal SIGSEGV"),
                ("os._exit(3)", "exit code 3"),
                ("os.kill(os.getpid(), 40)", "signal 40"),
            )
        ),
        # A fork holds the pipe of the answers.
        ("os.fork() or time.sleep(1000); os._exit(3)", "exit code 3"),
    ],
)
def test_a_child_that_dies_is_no_loss(
    supervisor: Supervisor, ill, deed: str, how: str
) -> None:
    """Its cell ends with an error that says how, with what was recorded."""
    found = supervisor.run(cell(ill(deed)))
    assert set(found.status) == {Status.ERROR}
    assert found.reason == f"The cell's process ended with {how}."
    assert found.steps[-1] == AT
    assert set(supervisor.run(cell("gda")).status) == {Status.FINISHED}


@pytest.mark.parametrize(
    "written", [b"x" * 48, pytest.param(b"\0" * 48, marks=pytest.mark.slow)]
)
def test_nonsense_in_the_pipe_ends_the_cell(
    supervisor: Supervisor, ill, written: bytes
) -> None:
    """Whatever length it seems to announce; what was recorded is kept."""
    deed = f"""for descriptor in range(3, 64):
                            try: os.write(descriptor, {written!r})
                            except OSError: pass"""
    found = supervisor.run(cell(ill(deed)))
    assert set(found.status) == {Status.ERROR}
    assert found.reason == "The cell's process wrote into the pipe of its answers."
    assert found.steps[-1] == AT


def test_a_closed_pipe_ends_the_cell(
    supervisor: Supervisor, ill, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that goes on without it is ended."""
    monkeypatch.setattr(guarded_process, "END_TIMEOUT_SECONDS", 0.2)
    found = supervisor.run(cell(ill("os.closerange(3, 64); time.sleep(1000)")))
    assert found.reason == "The cell's process closed the pipe of its answers."
    assert found.steps[-1] == AT


@pytest.mark.parametrize("stopped", [pytest.param(False, marks=pytest.mark.slow), True])
def test_time_passes_within_a_message(
    supervisor: Supervisor, ill, stopped: bool
) -> None:
    """A child that hangs, or is stopped, when it has written a part of one."""
    deed = f"""
                        for descriptor in range(3, 64):
                            try: os.write(descriptor, {child_process.encode(0)[:20]!r})
                            except OSError: pass
                        {HANGING[2 if stopped else 1]}"""
    supervisor.run(cell("gda"))
    supervisor.limits = Limits(timeout=1.0)
    assert set(supervisor.run(cell(ill(deed))).status) == {Status.TIMEOUT}


def test_a_fork_that_computes_on_answers_nothing(supervisor: Supervisor, ill) -> None:
    """Its answers would be taken for those to the next cell."""
    assert_same(supervisor.run(cell(ill("os.fork()"))), run_cell(cell("gda")))
    assert_same(supervisor.run(cell("gda")), run_cell(cell("gda")))


def test_a_child_that_does_not_load_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of the command, for each cell would wait as long."""
    monkeypatch.setattr(supervisor_module, "STARTUP_TIMEOUT_SECONDS", 0.0)
    fresh = guarded_process.ForkServer()  # which has loaded nothing yet
    monkeypatch.setattr(guarded_process, "FORK_SERVER", fresh)
    with closing(Supervisor(Limits())) as supervisor:
        with pytest.raises(ClusterError, match="must load mmbench in 0 s; it did not"):
            supervisor.run(cell("gda"))
        assert supervisor._child is None


def test_children_draw_each_their_own(ill, tmp_path: Path) -> None:
    """Numbers from generators that nobody has seeded."""
    deed = f"""
                        import random
                        import numpy as np
                        with open({str(tmp_path / "drawn")!r}, "a") as file:
                            print(random.random(), np.random.rand(), file=file)"""
    with guarded_process.FORK_SERVER:  # of which both are forks
        for _ in range(2):
            with closing(Supervisor(Limits())) as supervisor:
                supervisor.run(cell(ill(deed)))
    drawn = (tmp_path / "drawn").read_text().split()
    assert len(set(drawn)) == len(drawn) == 4


@pytest.mark.skipif(sys.platform != "linux", reason="needs subreapers")
@pytest.mark.parametrize("end", ["time.sleep(1000)", "os._exit(3)"])
def test_processes_in_sessions_of_their_own_end(
    supervisor: Supervisor, ill, tmp_path: Path, end: str
) -> None:
    """Forked twice, so that their parent has ended, and without environment."""
    deed = f"""
                        import subprocess
                        source = "import os, sys, time\\n"
                        source += "if os.fork(): os._exit(0)\\n"
                        source += "open(sys.argv[1], 'w').write(str(os.getpid()))\\n"
                        source += "time.sleep(1000)"
                        subprocess.run(
                            [sys.executable, "-c", source, {str(tmp_path / "part")!r}],
                            start_new_session=True, env={{}},
                        )
                        while not os.path.exists({str(tmp_path / "part")!r}):
                            time.sleep(0.01)
                        time.sleep(0.1)
                        {end}"""
    supervisor.run(cell("gda"))
    supervisor.limits = Limits(timeout=3.0)
    supervisor.run(cell(ill(deed)))
    assert not psutil.pid_exists(int((tmp_path / "part").read_text()))


def test_no_child_outlives_its_parent(ill) -> None:
    """Not even one that is at work: the end of its input ends it."""
    supervisor = Supervisor(Limits())
    child = supervisor._ready_child()
    child.send(
        child_process.make_request(
            to_json(cell(ill(HANGING[0]))), Placement(), None, None
        ),
    )
    while child.receive() is None:
        pass
    process = child.process
    assert process.poll() is None
    process.stdin.close()
    assert process.wait(5) == 0
    supervisor.close()


def test_a_child_whose_parent_has_gone_says_nothing() -> None:
    """Not even where it learns so only when it answers."""
    with subprocess.Popen(
        [sys.executable, "-m", "mmbench.runner.child_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdout.close()
        assert process.wait(120) == 0
        assert process.stderr.read() == b""
