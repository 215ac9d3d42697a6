"""From suites to stored results: what is lacking, who computes it, where."""
