"""Search in the regions of a set: by example and by words."""
