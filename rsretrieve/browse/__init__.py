"""A local web app to look at an index: `rsretrieve browse`. Only this package imports Starlette."""
