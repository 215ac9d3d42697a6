"""Source: where an idea comes from."""

from dataclasses import dataclass


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

    def __str__(self) -> str:
        place = f", {self.place}" if self.place else ""
        return f"{self.authors} {self.year}, {self.title}{place}"
