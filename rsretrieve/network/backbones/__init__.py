"""Backbones that timm builds."""
