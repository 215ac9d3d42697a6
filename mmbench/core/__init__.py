"""The ground floor: the mathematics and its tools; knows no algorithm and no task."""
