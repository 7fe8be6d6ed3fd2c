"""The models that rsretrieve comes with."""
