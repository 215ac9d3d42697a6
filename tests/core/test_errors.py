"""Errors: their classes, and the nearest known name in their messages."""

from mmbench.core.errors import DescriptionError, MmbenchError, unknown_name


def test_nearest_names() -> None:
    """The message suggests the nearest known name, if there is a near one."""
    message = str(unknown_name("suite", "toi", ["gan", "smoke", "toy"]))
    assert message == "Unknown suite 'toi'. Did you mean 'toy'? Known: gan, smoke, toy."
    assert (
        str(unknown_name("suite", "xxxxx", [])) == "Unknown suite 'xxxxx'. Known: none."
    )


def test_description_errors_are_value_errors() -> None:
    """A bad description is a ValueError, and all errors of mmbench have one base."""
    assert issubclass(DescriptionError, ValueError)
    assert issubclass(DescriptionError, MmbenchError)
