"""Publications that algorithms and tasks come from."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True)
class Source:
    """A publication, precise enough to be found and to be printed in a bibliography.

    Args:
        authors: family names, "and" before the last.
        year: year of publication.
        title: title as printed.
        link: web address, preferably a DOI or arXiv page.
        place: where in the publication, such as "Algorithm 1".
    """

    authors: str
    year: int
    title: str
    link: str = ""
    place: str = ""

    def at(self, place: str) -> "Source":
        """Return this publication with a place in it, such as "Section 4"."""
        return replace(self, place=place)

    def __str__(self) -> str:
        place = f", {self.place}" if self.place else ""
        return f"{self.authors} {self.year}, {self.title}{place}"
