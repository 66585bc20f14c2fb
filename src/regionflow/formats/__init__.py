"""Everything that lies in results/: one module per kind of file, which reads and writes it."""
