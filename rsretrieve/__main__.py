"""`python -m rsretrieve`: the same program as the `rsretrieve` command."""

from rsretrieve.cli.app import main

if __name__ == "__main__":
    main()
