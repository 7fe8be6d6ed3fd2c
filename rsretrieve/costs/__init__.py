"""Predict what a run costs, from rates that are measured on the machine it will run on."""
