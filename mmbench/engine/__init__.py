"""The engine computes one cell: its runs, step by step, into one trajectory.

`run_cell` takes the runs of a cell in chunks that are computed side by side. A `Chunk`
makes their steps, operation by operation or compiled, and fills a `Recording`;
`Trajectory` joins the recordings. The engine returns arrays: it writes no file and
starts no process.
"""
