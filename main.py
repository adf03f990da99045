"""Tessera's entry: ``main:app`` for an ASGI server, ``python main.py …`` for a person."""

if __name__ == "__main__":
    from core.cli import main

    main()
else:
    from core import collector

    collector.be_patient()  # before the imports of a start
    # Not for the command line: `tessera --help` should not wait for a web framework.
    from core.app import create_app

    app = create_app()
