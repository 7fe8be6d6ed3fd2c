"""Which folders are a scene's own, and no classes: those that hold one scene each."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

Folder = tuple[str, ...]
"""The names of a folder and of those above it, below the folder that the user named."""


@dataclass(frozen=True)
class SceneFolder:
    """Where the files of a scene lie.

    Attributes:
        folders: the folders above the files, without those inside a product.
        is_product: the folders of a product were left out: what is above is no scene's own.
        is_named_alike: the last folder and the scene have the same name, or one begins the other.
    """

    folders: Folder
    is_product: bool
    is_named_alike: bool


@dataclass(frozen=True)
class Homes:
    """The folders above scenes.

    Attributes:
        of: by scene, the folders without its own one.
        own: the own folder of each scene that has one.
    """

    of: Mapping[str, Folder]
    own: Mapping[str, Folder]


def homes_of(scenes: Mapping[str, SceneFolder]) -> Homes:
    """Find the folders that are scenes' own.

    A name alone does not tell: `Forest/Forest_1_B02.tif` lies in a class. Folders that lie in one
    folder are decided alike: they are own ones if each holds one scene, and at least half of them
    are named like it. A folder of the same name elsewhere that holds several scenes, too, tells
    that they are classes.

    Args:
        scenes: by name; all of them, whether they have all bands or not.
    """
    held = Counter(
        scene.folders[:depth]
        for scene in scenes.values()
        if not scene.is_product
        for depth in range(1, len(scene.folders) + 1)
    )
    families: dict[Folder, list[Folder]] = defaultdict(list)
    for folder in held:
        families[folder[:-1]].append(folder)
    alike = {scene.folders for scene in scenes.values() if scene.is_named_alike}
    own_below = {
        parent
        for parent, folders in families.items()
        if all(held[folder] == 1 for folder in folders)
        and 2 * len(alike.intersection(folders)) >= len(folders)
    }
    # In val/, a class may have one scene only, while it has many in train/.
    of_several = {folder[-1] for folder in held if folder[:-1] not in own_below}
    own_below = {
        parent
        for parent in own_below
        if of_several.isdisjoint(folder[-1] for folder in families[parent])
    }
    own = {
        name: scene.folders
        for name, scene in scenes.items()
        if not scene.is_product and scene.folders and scene.folders[:-1] in own_below
    }
    of = {name: own.get(name, (*scene.folders, ""))[:-1] for name, scene in scenes.items()}
    return Homes(of, own)
