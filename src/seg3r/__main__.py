"""`python -m seg3r`: the command, where its script is not on the path."""

from seg3r.cli import main

if __name__ == "__main__":
    main()
