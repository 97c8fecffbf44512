"""A launch description: what a launch file returns."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any


class LaunchDescriptionEntity:
    """Anything that a launch description may hold."""

    def visit(self, context) -> list | None:
        """Does its work and returns the entities to visit next, depth first."""
        raise NotImplementedError(f"{type(self).__name__}.visit")

    def sub_entities(self) -> Iterable[LaunchDescriptionEntity]:
        """Entities known before launching: where `--show-args` looks for arguments."""
        return ()

    def declared_arguments(self) -> Iterator[Any]:
        """The DeclareLaunchArgument actions among it and its sub-entities."""
        for entity in self.sub_entities():
            yield from entity.declared_arguments()

    def get_asyncio_future(self) -> asyncio.Future | None:
        """Done when the entity has nothing more to do; None if that is so after visit()."""
        return None


class LaunchDescription(LaunchDescriptionEntity):
    """An ordered list of entities."""

    def __init__(self, initial_entities: Iterable[LaunchDescriptionEntity] | None = None) -> None:
        self.entities = list(initial_entities or ())

    def add_action(self, action: LaunchDescriptionEntity) -> None:
        self.entities.append(action)

    def add_entity(self, entity: LaunchDescriptionEntity) -> None:
        self.entities.append(entity)

    def visit(self, context) -> list:
        return self.entities

    def sub_entities(self) -> list[LaunchDescriptionEntity]:
        return self.entities

    def get_launch_arguments(self) -> list[Any]:
        """The DeclareLaunchArgument actions in it and below it, the first of each name."""
        found: dict[str, Any] = {}
        for argument in self.declared_arguments():
            found.setdefault(argument.name, argument)
        return list(found.values())
