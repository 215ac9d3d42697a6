"""Tables, statistics, ranks and pages of stored results; nothing is computed anew."""
