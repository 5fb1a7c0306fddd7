"""`python -m mattecli` is `matte`."""

from mattecli.cli import main

if __name__ == "__main__":
    main()
