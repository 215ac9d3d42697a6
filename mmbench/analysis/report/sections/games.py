"""Which method for which game: success and cost of every method on every game."""

import pandas as pd

from mmbench.analysis import style
from mmbench.analysis.plot.games import (
    View,
    by_success,
    cost_view,
    draw_grid,
    games_table,
    games_with_target,
    grid_size,
    success_view,
)
from mmbench.analysis.report.sections.base import (
    MAX_LABELS,
    Figure,
    Section,
    Subsection,
)
from mmbench.analysis.results import Results

PROSE = (
    "Each row is a method and each column a game. The first picture shows the share of "
    "runs that reach the target of the game and stay there, and below it the 95 % "
    "confidence interval of the share (Clopper and Pearson’s). The second picture "
    "shows at which cost, in gradient-equivalents: the median over runs, where more "
    "than half of them do. Methods are in the order of their mean success over games."
)
CAUTION = (
    "A target is what a game declares as its solution. On some games a method is right "
    "not to reach it; the description of each game says so."
)
MAX_COLUMNS = 13  # of a picture
MIN_GAMES = 3  # below that, the tables of the leaderboard show as much


def section(results: Results) -> Section | None:
    """Show two pictures of all methods and games; None for fewer than three games."""
    finished = results.finished
    contests = games_with_target(finished)
    if len(contests) < MIN_GAMES:
        return None
    rows, games = games_table(finished, contests), list(contests)
    order = by_success(rows)[:MAX_LABELS]
    shown = rows[rows["label"].isin(order)]
    # Side by side as many as fit on a page.
    pieces = -(-len(games) // MAX_COLUMNS)
    parts = [
        games[len(games) * at // pieces : len(games) * (at + 1) // pieces]
        for at in range(pieces)
    ]
    notes = [CAUTION]
    if rows["label"].nunique() > MAX_LABELS:
        notes.append(f"The first {MAX_LABELS} methods are shown.")
    return Section(
        title="Which method for which game",
        anchor="games",
        prose=(PROSE,),
        subsections=(
            Subsection(
                figures=[
                    _picture(shown, order, part, view)
                    for view in (success_view(), cost_view(rows))
                    for part in parts
                ],
                notes=notes,
            ),
        ),
        files={"games.csv": rows},
    )


def _picture(
    rows: pd.DataFrame, order: list[str], games: list[str], view: View
) -> Figure:
    """Draw a rectangle with a text for each method and game."""
    rows = rows[rows["task"].isin(games)]
    width, height, margins = grid_size(order, games)
    with style.panel(width, height, margins) as (figure, axes):
        draw_grid(axes, rows, order, games, view)
        svg = style.svg(figure, "games", view.column, *games)
    alt = f"{view.title}. " + "; ".join(
        f"{row['label']} on {row['task']}: {view.text(row)}".replace("\n", ", ")
        for row in rows.to_dict("records")
    )
    return Figure(alt, svg, title=view.title, width=round(96 * width))
