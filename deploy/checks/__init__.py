"""The parts of deploy/check_files.py."""
