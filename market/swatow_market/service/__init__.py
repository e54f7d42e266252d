"""The market as a process: intake, rounds, settlement, and the server around them."""
