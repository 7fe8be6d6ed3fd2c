"""`python -m rsretrieve`: the same program as the `rsretrieve` command."""

from rsretrieve.cli.main import main

if __name__ == "__main__":
    main()
