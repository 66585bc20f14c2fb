"""`python -m regionflow.cli`, for where the program `regionflow` is not on the path."""

from regionflow.cli import main

main()
