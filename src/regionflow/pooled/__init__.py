"""One feature vector per region."""
