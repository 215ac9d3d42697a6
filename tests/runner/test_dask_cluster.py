"""Cluster: on workers the same comes out as in one process, whatever befalls them."""

import asyncio
import contextlib
import socket
import textwrap
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from dask.distributed import Client, LocalCluster
from outside import PLAIN
from small_cells import NET, small_cells
from stores import assert_same_cells

from mmbench.core.errors import ClusterError
from mmbench.core.placement import Placement
from mmbench.core.serialization import to_json
from mmbench.engine.cell import Cell
from mmbench.engine.run_cell import run_cell
from mmbench.runner import compute as compute_module
from mmbench.runner import dask_cluster
from mmbench.runner.dask_cluster import bundles
from mmbench.runner.execute import Observer, execute
from mmbench.runner.limits import Limits, Workers
from mmbench.runner.plan import plan
from mmbench.runner.shards import split
from mmbench.runner.stored_runs import find_candidates
from mmbench.store.folder import Store
from mmbench.suites.base import Grid, Suite

# Dask's own sockets and loops, which it closes after the tests have ended.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

OUTSIDE = (
    PLAIN
    + """
    def die():
        time.sleep(1)  # Dask does not restart a worker that dies while it starts
        os.kill(os.getpid(), signal.SIGKILL)

    class Killer(Plain):
        def before(self, oracle, step):
            if step == 3:
                die()

    class Mortal(Plain):
        # Ends its worker once.
        def before(self, oracle, step):
            if step == 3 and not Path(__file__).with_name("died").exists():
                Path(__file__).with_name("died").touch()
                die()

    class Failing(Plain):
        def before(self, oracle, step):
            if step == 5:
                raise ValueError("no more")

    class Partly(Plain):
        # Fails in the second chunk of runs, and later in the third.
        def before(self, oracle, step):
            first = oracle.seeds[0]
            if (first, step) in ((16, 5), (32, 9)):
                raise ValueError(f"not from {first}")

    class Nothing(Plain):
        def before(self, oracle, step):
            raise ValueError("never")

    class Hanging(Plain):
        def before(self, oracle, step):
            if step == 5:
                time.sleep(1000)
"""
)


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of algorithms from outside."""
    path = tmp_path_factory.mktemp("outside") / "outside.py"
    path.write_text(textwrap.dedent(OUTSIDE))
    return path


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    """Two workers that last for all tests, each of a cluster that is there already."""
    with LocalCluster(
        n_workers=2,
        threads_per_worker=2,  # one too many, which must do no harm
        dashboard_address="127.0.0.1:0",
        silence_logs=50,  # logging.CRITICAL
        memory_limit=0,
    ) as local:
        yield Workers(scheduler=local.scheduler_address)


class RecordingObserver(Observer):
    """Remembers how cells ended."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    def on_end(self, cell: Cell, trajectory: Any) -> None:
        """A cell has ended."""
        self.ended.append(cell.label)


def cells(*grids: Grid) -> tuple[Cell, ...]:
    """Of these grids."""
    return plan(Suite(name="test", grids=grids))


def grid(*algorithms: str, task: str = "bilinear", **options: Any) -> Grid:
    """A small one."""
    small = {"seeds": 3, "steps": 20, "records": 4} | options
    return Grid(tasks=(task,), algorithms=algorithms, **small)


@pytest.fixture
def assert_as_in_process(tmp_path: Path, workers: Workers) -> Callable[..., Store]:
    """Computes cells here and there, and compares all that is stored."""

    def compare(planned: Sequence[Cell], limits: Limits = Limits()) -> Store:
        here, there, observer = (
            Store(tmp_path / "a"),
            Store(tmp_path / "b"),
            RecordingObserver(),
        )
        execute(planned, here, limits=limits)
        execute(planned, there, observer=observer, limits=limits, workers=workers)
        assert sorted(observer.ended) == sorted(cell.label for cell in planned)
        assert_same_cells(there, here, [cell.key for cell in planned])
        assert not list(there.folder.glob("parts*"))
        return there

    return compare


@pytest.mark.slow
def test_a_suite_is_the_same_as_in_process(
    assert_as_in_process: Callable, outside: Path
) -> None:
    """Chains, classes from a file, an error, a NaN, keep=all: bit for bit."""
    start = grid("first = gda[direction=adam]", task=NET)
    rest = grid("omd", task=NET, after="first", keep="all")
    toys = grid(
        "gda",
        "cgd",
        f"mine = {outside}:Plain[size=0.2]",
        f"bad = {outside}:Failing",
        f"nan = {outside}:Plain[size=1e300]",
    )
    broken = grid("bad2 = " + f"{outside}:Failing", task=NET)
    lost = grid("lost = gda", task=NET, after="bad2")
    store = assert_as_in_process(cells(start, rest, toys, broken, lost))
    outcomes = {
        store.footer(key)["label"]: set(store.footer(key)["outcomes"]) for key in store
    }
    assert outcomes["bad"] == outcomes["lost"] == {"error"}
    assert outcomes["nan"] <= {"nonfinite", "diverged"}


@pytest.mark.parametrize(
    ("keep", "name"),
    [
        pytest.param("none", "Plain", marks=pytest.mark.slow),
        ("last", "Partly"),
        ("all", "Nothing"),
        pytest.param("all", "Plain", marks=pytest.mark.slow),
        pytest.param("last", "Plain", marks=pytest.mark.slow),
        pytest.param("all", "Partly", marks=pytest.mark.slow),
    ],
)
def test_a_split_cell_is_the_same_as_a_whole_one(
    assert_as_in_process: Callable, outside: Path, name: str, keep: Any
) -> None:
    """Of three chunks, with a chain; chunks that fail at other steps than others."""
    first = grid(f"first = {outside}:{name}", task=NET, seeds=40, keep=keep)
    rest = grid("rest = omd", task=NET, after="first", seeds=40, keep="all")
    assert_as_in_process(cells(first, rest) if keep != "none" else cells(first))


@pytest.mark.slow
def test_a_cell_that_kills_its_workers_is_given_up(
    tmp_path: Path, workers: Workers, outside: Path
) -> None:
    """After it has killed four; those that were in one task with it finish."""
    planned = cells(grid("gda", f"kills = {outside}:Killer", "omd", "extragradient"))
    assert len(bundles(planned)) == 1
    store = Store(tmp_path / "store")
    execute(planned, store, workers=workers)
    outcomes = {
        cell.label: (
            store.footer(cell.key)["outcomes"],
            store.footer(cell.key)["reason"],
        )
        for cell in planned
    }
    assert outcomes.pop("kills") == ({"error": 3}, "Its worker died 4 times.")
    assert set(outcomes) == {"gda", "omd", "extragradient"}
    assert all(not reason for _, reason in outcomes.values())
    assert not list(store.folder.glob("*.lease"))


def test_a_killed_worker_is_no_loss(
    assert_as_in_process: Callable, workers: Workers, outside: Path
) -> None:
    """Its cells go to another one, those of its task that were stored not again."""
    died = outside.with_name("died")
    died.touch()  # not here
    planned = cells(grid("gda", f"mortal = {outside}:Mortal", "omd"))
    here = assert_as_in_process(planned)
    died.unlink()
    for cell in planned[1:]:
        here.remove(cell.key)
    version = here.version(planned[0].key)
    execute(planned, here, workers=workers)
    assert died.exists()
    assert here.version(planned[0].key) == version
    assert here.footer(planned[1].key)["outcomes"] == {"finished": 3}


@pytest.mark.slow
def test_limits_hold_on_workers(assert_as_in_process: Callable, outside: Path) -> None:
    """A cell that hangs ends after its time, as in process; the others finish."""
    planned = cells(grid("gda", f"hangs = {outside}:Hanging"))
    store = assert_as_in_process(planned, Limits(timeout=4))
    assert store.footer(planned[1].key)["outcomes"] == {"timeout": 3}
    assert store.frame(planned[1].key)["step"].max() == 5


def test_what_is_stored_is_not_computed_again(
    tmp_path: Path, workers: Workers, outside: Path
) -> None:
    """Nor is anything sent out for it."""
    planned, store = cells(grid("gda", "omd")), Store(tmp_path / "store")
    execute(planned, store, workers=workers)
    assert execute(planned, store, workers=Workers(scheduler="tcp://nowhere:1")) == []


def test_workers_demand_the_same_environment(tmp_path: Path, workers: Workers) -> None:
    """Of a whole cell, of one split among them, and of where it begins."""
    first = grid("first = gda", task=NET, seeds=40, keep="last")
    rest = grid("rest = omd", task=NET, after="first", seeds=40)
    planned = cells(first, rest, grid("gda"))
    store = Store(tmp_path / "store")
    execute(planned, store, workers=workers)
    for cell in planned[::2]:
        key, footer = cell.key, store.footer(cell.key)
        footer["provenance"] |= {"torch": "2.0.0"}
        store.put(key, store.frame(key), footer, store.arrays(key), store.iterates(key))
    strict = Store(store.folder, same_environment=True)
    assert execute(planned, store, workers=workers) == []
    assert execute(planned[:2], strict, workers=workers) == [planned[0]]
    assert execute(planned, strict, workers=workers) == [planned[2]]
    assert execute(planned, strict, workers=workers) == []


def test_a_scheduler_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scheduler that cannot be reached is an error before any computation."""
    monkeypatch.setattr(dask_cluster, "CONNECT_TIMEOUT_SECONDS", 1)
    observer = RecordingObserver()
    observer.on_plan = lambda *_: pytest.fail("work was begun")  # type: ignore[method-assign]
    with pytest.raises(ClusterError, match="--scheduler must be the address of a run"):
        execute(
            cells(grid("gda")),
            Store(tmp_path / "store"),
            observer=observer,
            workers=Workers(scheduler="tcp://127.0.0.1:9"),
        )


def test_a_task_sent_to_a_scheduler_that_was_lost_is_not_awaited(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no end; those that had ended by then are yielded."""
    with Client(workers.scheduler, set_as_default=False) as client:
        ended = client.submit(int, 3)
        ended.result()
        endless = client.submit(int, 4, resources={"none that is there": 1})
        absence = dask_cluster._WorkerAbsence(client)
        tasks = [ended, endless]
        found = dask_cluster._as_completed(client, tasks, absence, workers, [1, 2])
        assert next(found).result() == 3
        with monkeypatch.context() as during:
            during.setattr(client, "status", "closed")
            with pytest.raises(ClusterError, match="was lost with 2 cells to go"):
                next(found)


@pytest.fixture
def empty(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalCluster]:
    """A cluster without workers, and little patience."""
    monkeypatch.setattr(dask_cluster, "NO_WORKERS_SECONDS", 1)
    monkeypatch.setattr(dask_cluster, "POLL_SECONDS", 0.1)
    quiet = dict(dashboard_address="127.0.0.1:0", silence_logs=50, processes=False)
    with LocalCluster(n_workers=0, **quiet) as local:
        yield local


def test_lost_workers_are_not_awaited_for_ever(empty: LocalCluster) -> None:
    """Those that were there and come no more."""
    with Client(empty) as client:
        empty.scale(1)
        client.wait_for_workers(1)
        absence = dask_cluster._WorkerAbsence(client)
        assert absence.n_workers == 1
        empty.scale(0)
        endless = client.submit(int, 4)
        found = dask_cluster._as_completed(client, [endless], absence, Workers(1), [1])
        with pytest.raises(ClusterError, match="had none for 1 s with 1 cells to go"):
            list(found)


def test_workers_that_never_come(tmp_path: Path, empty: LocalCluster) -> None:
    """The user learns that they are awaited, and for how long."""
    observer = RecordingObserver()
    sentences: list[str] = []
    observer.on_warning = sentences.append  # type: ignore[method-assign]
    with pytest.raises(ClusterError, match="had none for 1 s with 1 cells to go"):
        execute(
            cells(grid("gda")),
            Store(tmp_path / "store"),
            observer=observer,
            workers=Workers(scheduler=empty.scheduler_address),
        )
    address = empty.scheduler_address
    expected = f"The scheduler at {address} has no workers; they are awaited for 1 s."
    assert sentences == [expected]


def test_a_scheduler_that_answers_no_more(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though its connection stays."""
    monkeypatch.setattr(dask_cluster, "NO_WORKERS_SECONDS", 0.3)
    monkeypatch.setattr(dask_cluster, "ANSWER_TIMEOUT_SECONDS", 0.1)
    monkeypatch.setattr(dask_cluster, "POLL_SECONDS", 0.1)

    async def never() -> None:
        await asyncio.sleep(1000)

    with Client(workers.scheduler, set_as_default=False) as client:
        absence = dask_cluster._WorkerAbsence(client)
        monkeypatch.setattr(client, "scheduler", SimpleNamespace(ncores=never))
        endless = client.submit(int, 4, resources={"none that is there": 1})
        with pytest.raises(ClusterError, match="must answer; it did not for 0.3 s"):
            list(dask_cluster._as_completed(client, [endless], absence, workers, [1]))


@pytest.mark.parametrize("reply", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n" * 9])
def test_a_port_that_is_no_scheduler(
    reply: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It accepts and says nothing, or speaks another protocol."""
    monkeypatch.setattr(dask_cluster, "CONNECT_TIMEOUT_SECONDS", 1)
    held = []

    def serve() -> None:
        with contextlib.suppress(OSError):  # it was closed
            while True:
                held.append(server.accept()[0])
                held[-1].sendall(reply)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(ClusterError, match="--scheduler must be the address"):
            dask_cluster.check_reachable(Workers(scheduler=address))
    for one in held:
        one.close()


def test_a_worker_is_no_scheduler(workers: Workers) -> None:
    """Its address is easily taken for one."""
    with Client(workers.scheduler, set_as_default=False) as client:
        address = next(iter(client.nthreads()))
    with pytest.raises(ClusterError, match="gave ValueError: a Dask Worker"):
        dask_cluster.check_reachable(Workers(scheduler=address))


def test_small_cells_travel_together_in_their_order() -> None:
    """So that a task is worth it; cells that others need or that need others alone."""
    small = cells(grid(*(f"a{i} = gda[step_size={0.01 * (i + 1)}]" for i in range(70))))
    packed = bundles(small)
    assert [cell for one in packed for cell in one] == list(small)
    assert [len(one) for one in packed] == [32, 32, 6]
    long = cells(grid("gda", "omd", steps=100_000))
    assert [len(one) for one in bundles(long)] == [1, 1]
    mixed = cells(
        grid("gda", task=NET),
        grid("first = omd", task=NET),
        grid("rest = gda", task=NET, after="first"),
        grid("gda", "omd"),
    )
    assert [[cell.label for cell in one] for one in bundles(mixed)] == [
        ["gda"],
        ["first"],
        ["rest"],
        ["gda", "omd"],
    ]


def test_nothing_is_bundled_twice() -> None:
    """Every cell is in exactly one task."""
    planned = cells(grid("gda", "omd", steps=900), grid("cgd", seeds=300))
    keys = [cell.key for one in bundles(planned) for cell in one]
    assert keys == [cell.key for cell in planned]
    assert Placement().device.type == "cpu"


@pytest.mark.parametrize("is_split", [False, True])
def test_a_worker_takes_stored_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_split: bool
) -> None:
    """For a whole cell or for shards of it, and computes the others alone."""
    store, alone = Store(tmp_path / "store"), Store(tmp_path / "alone")

    def planned(seeds: int) -> tuple[Cell, ...]:
        metrics = ("mode_coverage[samples=20]",)
        return small_cells("gda", tasks=(NET,), metrics=metrics, seeds=seeds, steps=2)

    (cell,) = planned(24)
    execute(planned(16), store)
    execute([cell], alone)
    computed: list[int] = []

    def run(cell: Cell, *rest: Any) -> Any:
        computed.append(len(cell.seeds))
        return run_cell(cell, *rest)

    monkeypatch.setattr(compute_module, "run_cell", run)
    settings = dask_cluster.WorkerSettings(
        str(store.folder),
        same_environment=False,
        device="cpu",
        data_dir=None,
        compiled=None,
        width=None,
        limits=Limits(),
        candidates=find_candidates([cell], store),
    )
    if is_split:
        shards = [to_json(shard) for shard in split(cell, Placement(), 2)]
        faults = [
            dask_cluster.compute_shard(settings, to_json(cell), shard)
            for shard in shards
        ]
        found = dask_cluster.join_shards(settings, to_json(cell), shards, faults)
    else:
        found = dask_cluster.compute(settings, [to_json(cell)])
    assert found == {}
    assert computed == [8]
    assert_same_cells(store, alone, [cell.key])
