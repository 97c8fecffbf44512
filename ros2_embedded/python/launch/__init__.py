"""Launch descriptions and the service that runs them: the API that `.launch.py` files use."""

from launch import actions, conditions, event_handlers, events, launch_description_sources, substitutions
from launch.action import Action
from launch.conditions import Condition
from launch.event import Event
from launch.event_handlers import EventHandler
from launch.launch_context import LaunchContext
from launch.launch_description import LaunchDescription, LaunchDescriptionEntity
from launch.launch_description_sources import LaunchDescriptionSource
from launch.launch_service import LaunchService
from launch.some_substitutions_type import SomeSubstitutionsType
from launch.substitution import Substitution, SubstitutionFailure

__all__ = [
    "Action",
    "Condition",
    "Event",
    "EventHandler",
    "LaunchContext",
    "LaunchDescription",
    "LaunchDescriptionEntity",
    "LaunchDescriptionSource",
    "LaunchService",
    "SomeSubstitutionsType",
    "Substitution",
    "SubstitutionFailure",
    "actions",
    "conditions",
    "event_handlers",
    "events",
    "launch_description_sources",
    "substitutions",
]
