"""Errors: suggestions for unknown names, and their classes."""

from mmbench.core.errors import DescriptionError, MmbenchError, unknown_name


def test_the_nearest_name_is_suggested() -> None:
    """The message has the nearest known name, or none when nothing is near."""
    message = str(unknown_name("suite", "toi", ["gan", "smoke", "toy"]))
    assert message == "Unknown suite 'toi'. Did you mean 'toy'? Known: gan, smoke, toy."
    assert (
        str(unknown_name("suite", "xxxxx", [])) == "Unknown suite 'xxxxx'. Known: none."
    )


def test_description_errors_are_value_errors() -> None:
    """A bad description can be caught as a ValueError and as an error of mmbench."""
    assert issubclass(DescriptionError, ValueError)
    assert issubclass(DescriptionError, MmbenchError)
