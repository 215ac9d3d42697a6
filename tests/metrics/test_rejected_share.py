"""The share of rejected proposals, against the steps at which runs stay."""

import mmbench


def test_share_is_of_the_steps_at_which_runs_stay() -> None:
    """A rejection restores the iterate, so that its distance does not change."""
    words = "accept_reject[k=2,acceptance=constant[p=0.1]]"
    given = ["quadratic[a=1,b=3,c=-1]"], [words], ["distance", "rejected_share"]
    frame = mmbench.run(*given, seeds=8, steps=12, records=12)
    shares = set()
    for _, run in frame.groupby("seed"):
        rejected = (run["distance"].diff() == 0).cumsum()
        assert (run["rejected_share"] * run["step"] == rejected).all()
        shares |= set(run["rejected_share"])
    assert len(shares) > 3


def test_a_stopped_search_keeps_its_share() -> None:
    """With a margin of 1000 only the first of four proposals is accepted."""
    words = "accept_reject_search[margin=1000,patience=3,ascents=5]"
    given = ["bilinear[box=5]"], [words, "gda"], ["distance", "rejected_share"]
    frame = mmbench.run(*given, seeds=2, steps=8, records=8)
    last = frame[frame["step"] == 8].groupby("label")["rejected_share"]
    assert [set(shares) for _, shares in last] == [{0.75}, {0.0}]
