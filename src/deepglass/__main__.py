"""`python -m deepglass` is the command."""

from deepglass.cli import main

main()
