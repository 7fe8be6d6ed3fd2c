"""Run the program: `python -m rsretrieve` is the same as `rsretrieve`."""

from rsretrieve.cli.main import main

if __name__ == "__main__":
    try:
        main()
    except SystemExit as ended:
        from rsretrieve.cli.several_processes import end_launched_process

        end_launched_process(ended)
        raise
