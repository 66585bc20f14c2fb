"""Part-whole hierarchies: teacher masks per patch, their embeddings, the Agglomerator that learns them, islands."""
