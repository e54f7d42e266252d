"""Inference engines: one interface (engine.py), one file for each kind."""
