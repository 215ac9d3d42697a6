"""From suites to stored results: which cells are lacking, and who computes them."""
