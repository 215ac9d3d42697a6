"""Speed of mmbench against alternatives, and against the limits of the machine."""
