"""Source: where an idea comes from."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True)
class Source:
    """A publication, precise enough to be found and to be printed in a bibliography.

    Args:
        authors: family names, "and" before the last.
        year: of publication.
        title: as printed.
        link: address, preferably a DOI or arXiv page.
        place: where in it, such as "Algorithm 1".
    """

    authors: str
    year: int
    title: str
    link: str = ""
    place: str = ""

    def at(self, place: str) -> "Source":
        """The same publication, at a place in it."""
        return replace(self, place=place)

    def __str__(self) -> str:
        place = f", {self.place}" if self.place else ""
        return f"{self.authors} {self.year}, {self.title}{place}"
