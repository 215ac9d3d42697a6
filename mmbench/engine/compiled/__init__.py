"""The same steps as machine code."""
