"""Automatic mask generation: an image becomes masks in the SA-1B record format."""
