"""Plots of results: each draws on one matplotlib axes and returns it.

    frame = mmbench.run(["bilinear"], ["gda", "extragradient"])
    mmbench.plot.convergence(frame, against="cost")

The first argument is the table of `mmbench.run` or `mmbench.load`, a part of it with
whole runs, or the folder of a store. Tables know their store, so that the paths and
samples in it are found, too; two tables that `pandas.concat` joins lose it. With `ax=`
a plot goes on axes of yours, which keep their style. The report draws with the same
code.
"""

from mmbench.analysis.plot.bars import outcomes
from mmbench.analysis.plot.counts import modes
from mmbench.analysis.plot.curves import convergence
from mmbench.analysis.plot.games import games
from mmbench.analysis.plot.portraits import phase_portrait
from mmbench.analysis.plot.ranks import leaderboard
from mmbench.analysis.plot.samples import samples

__all__ = [
    "convergence",
    "games",
    "leaderboard",
    "modes",
    "outcomes",
    "phase_portrait",
    "samples",
]
