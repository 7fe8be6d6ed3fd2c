"""What the user chooses when embeddings from elsewhere are read."""

from __future__ import annotations

from dataclasses import dataclass

from rsretrieve.data.windowing import WindowChoices
from rsretrieve.enums import Edges
from rsretrieve.errors import InvalidArgument


@dataclass(frozen=True)
class EmbeddingChoices:
    """The user's choices for a file of embeddings.

    Attributes:
        id_column: the column of ids of a table; None: found by its name.
        vector_column: the column of vectors of a table, or what the names of its columns of
            numbers begin with (`A` for `A00`, `A01` …); None: found by name and type.
        dimensions: only the first dimensions are used; None: all.
        windows: the windows of a raster of embeddings, one vector each; None: every pixel.
    """

    id_column: str | None = None
    vector_column: str | None = None
    dimensions: int | None = None
    windows: WindowChoices | None = None

    def __post_init__(self) -> None:
        if self.dimensions is not None and self.dimensions < 1:
            raise InvalidArgument(f"at least one dimension must be kept, not {self.dimensions}")
        if self.windows is None:
            return
        if self.windows.resolution_m is not None or self.windows.edges is not Edges.DROP:
            raise InvalidArgument(
                "rasters of embeddings are cut at their own resolution, without padding",
                hint="give only a window and a stride, counted in the raster's pixels",
            )

    def cut(self, source: object, dimensions: int) -> int:
        """The number of dimensions to use.

        Args:
            source: the file, for messages.
            dimensions: of its vectors.

        Raises:
            InvalidArgument: more are wanted than there are.
        """
        if self.dimensions is None:
            return dimensions
        if self.dimensions > dimensions:
            raise InvalidArgument(
                f"{source} has vectors of {dimensions} dimensions; {self.dimensions} cannot be kept"
            )
        return self.dimensions
