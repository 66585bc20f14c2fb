"""Class names for regions and pixels."""
