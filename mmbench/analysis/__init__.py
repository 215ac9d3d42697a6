"""From stored results to tables, statistics, ranks and pages; runs nothing."""
