"""The images of a set: which there are, how they are read, and what is known of them."""
