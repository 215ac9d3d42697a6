"""Tests of how a command finds what the repository publishes."""

from pathlib import Path

import pytest

from mmbench.cli import _published


def test_a_checkout_is_around_the_package_or_around_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder of the imported package comes first, then the working folder."""
    of_package, of_user = _published.CHECKOUTS
    assert (of_package / "mmbench" / "cli" / "_published.py").is_file()
    monkeypatch.chdir(tmp_path)
    assert of_user.resolve() == tmp_path.resolve()


def test_the_first_checkout_with_the_folder_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder without the file that it must have is passed over."""
    first, second = tmp_path / "first", tmp_path / "second"
    for checkout in (first, second):
        (checkout / "reports" / "claims").mkdir(parents=True)
    (second / "reports" / "claims" / "claims.json").write_text("{}")
    monkeypatch.setattr(_published, "CHECKOUTS", (first, second))
    find = _published.find_published
    assert find("reports/claims") == first / "reports" / "claims"
    assert find("reports/claims", "claims.json") == second / "reports" / "claims"
    assert find("reports/speed") is None
