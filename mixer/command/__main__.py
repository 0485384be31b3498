"""`python -m mixer.command`, where the console script is not on the path."""

from mixer.command import main

main()
