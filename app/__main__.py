"""The command `facepair`; loads the rest only when called, so that child processes can load this file cheaply."""

import sys


def main() -> None:
    from app import cli

    sys.exit(cli.main())


if __name__ == "__main__":
    main()
