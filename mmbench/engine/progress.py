"""Reports of progress, and the clock of the training time."""

import time
from collections.abc import Callable

import torch

from mmbench.engine.recording import Recording

REPORT_SECONDS = 1.0  # between two reports, where no record is made

# Called with the run-steps made since the last call, and with what has been recorded of
# the chunk in work.
Progress = Callable[[int, Recording | None], None]


class ProgressReporter:
    """Reports of the steps of a chunk: at records, and once a second between them.

    Args:
        progress: called with each report.
        recording: what is recorded of the chunk.
        step: the number of steps that a checkpoint had made; they are reported at once.
    """

    def __init__(self, progress: Progress, recording: Recording, step: int) -> None:
        self._progress, self._recording = progress, recording
        self._step, self._reported_at = step, time.monotonic()
        progress(step * len(recording.seeds), None)
        if step:  # or a limit that ends the cell now would lose these records
            progress(0, recording)

    def report_if_due(self, step: int) -> None:
        """Report the steps made, if the last report is old enough."""
        if time.monotonic() - self._reported_at >= REPORT_SECONDS:
            self.report(step)

    def report(self, step: int) -> None:
        """Report the steps made since the last report."""
        run_steps = (step - self._step) * len(self._recording.seeds)
        self._progress(run_steps, self._recording)
        self._step, self._reported_at = step, time.monotonic()


class TrainingClock:
    """The training time of a chunk; the clock stands while runs are measured or saved.

    Args:
        device: the device whose work is waited for.
        seconds: the training time so far.

    Attributes:
        seconds: the training time until the clock was last stopped.
    """

    def __init__(self, device: torch.device, seconds: float = 0.0) -> None:
        self.seconds, self._device = seconds, device
        self._started_at = self._now()

    def start(self) -> None:
        """Let the clock run from now on."""
        self._started_at = self._now()

    def stop(self) -> None:
        """Add the time since the clock was started."""
        self.seconds += self._now() - self._started_at

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()
