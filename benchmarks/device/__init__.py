"""Measurements of mmbench on a device, such as a GPU that is lent for minutes."""
