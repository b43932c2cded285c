"""A local Azure on 127.0.0.1 to which an unmodified `az` signs in; `python -m tests.emulator` starts it."""
