"""Training of the part-whole student and of its probe."""
