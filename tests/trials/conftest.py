"""The networks, the model and the index of the trials."""

from tests.support.networks import preprocessing
from tests.support.programs import index, model, noisy

__all__ = ["index", "model", "noisy", "preprocessing"]
