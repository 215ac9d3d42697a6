"""Files of results: whole, checked, leased; knows no cell."""
