"""Where results lie that the repository publishes."""

from pathlib import Path

# Of the checkout that holds this file, and of the one that the user is in: an installed
# mmbench lies in neither.
CHECKOUTS = (Path(__file__).resolve().parents[2], Path())


def find_published(name: str, file: str = "") -> Path | None:
    """Return a folder of a checkout, or None where there is no such checkout.

    Args:
        name: the folder, such as "reports/claims".
        file: a file that it must have; empty for none.
    """
    folders = [checkout / name for checkout in CHECKOUTS]
    return next((one for one in folders if (one / file).exists()), None)
