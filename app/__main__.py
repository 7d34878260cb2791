"""The command `facepair`; loads the service only when called, so that child processes can load this file cheaply."""


def main() -> None:
    from app.main import serve

    serve()


if __name__ == "__main__":
    main()
