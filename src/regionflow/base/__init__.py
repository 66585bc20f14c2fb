"""What every other room stands on: errors, options, files."""
