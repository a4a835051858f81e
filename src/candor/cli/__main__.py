"""``python -m candor.cli``: the command line where its script is not on the path, as under torchrun."""

from candor.cli.main import main

if __name__ == "__main__":
    main()
