"""The embedded SAM: a small Segment Anything model, trained by this project on scenes that it draws itself."""
