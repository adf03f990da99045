"""Tessera's entry: ``main:app`` for an ASGI server, ``python main.py …`` for a person."""

from core.app import create_app

app = create_app()

if __name__ == "__main__":
    from core.cli import main

    main()
