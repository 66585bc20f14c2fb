"""Weight files: which are published, where they lie, and how they are read and fetched."""
