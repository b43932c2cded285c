"""`az dicom changefeed`: the command is in `command.py`, and what each other file owns is said at its top."""
