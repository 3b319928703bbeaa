"""The scripts that made the bundled backbone; see README.md for the commands in order."""
