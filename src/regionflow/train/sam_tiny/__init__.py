"""Training of sam_tiny, the small SAM that comes with regionflow."""
