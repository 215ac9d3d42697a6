"""Files of results: whole, checked and leased; this package knows no cells."""
