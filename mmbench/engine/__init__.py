"""From one cell to one trajectory: arrays in, arrays out; no file, no process."""
