"""The regions of a set in forms that other tools open."""
