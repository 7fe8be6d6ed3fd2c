"""The Python interface; `rsretrieve` itself offers what is public of it."""
