"""The ``sdar`` command: one module a command, each parses, calls and renders."""
