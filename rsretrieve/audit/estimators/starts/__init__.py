"""Fits of the noise model from several starts, and the noise rates that explain the labels."""
