"""Prints a bundle's transfer, realised over promised FMR, from the reports in its folder; the worst comes first."""

import argparse

import card
import terminal

from model import bundle
from model.reports.transfer import markdown, transfers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", help="a shipped bundle's name or a folder")
    folder = bundle.find(parser.parse_args().bundle)
    print(
        markdown(transfers(card.reports(folder))) or f"no report in {folder} is of people who did not choose thresholds"
    )


if __name__ == "__main__":
    with terminal.one_line_errors():
        main()
