"""How good masks, regions, clusters and classes are, measured against ground truth with the field's own metrics."""
