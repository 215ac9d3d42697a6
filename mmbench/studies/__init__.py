"""Studies: what papers claim, as data; nothing here runs or measures."""
