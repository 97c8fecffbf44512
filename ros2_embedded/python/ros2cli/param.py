"""`ros2 param list | get | set | describe | dump`"""

from __future__ import annotations

import argparse
from typing import Any

from ros2cli.main import CommandError, add_verb
from ros2cli.session import call, for_each, node_names, require_node, session, settle

# rcl_interfaces/msg/ParameterType: how `get` calls it, and the field of ParameterValue that holds it
_KINDS = {
    1: ("Boolean value is:", "bool_value"),
    2: ("Integer value is:", "integer_value"),
    3: ("Double value is:", "double_value"),
    4: ("String value is:", "string_value"),
    5: ("Byte values are:", "byte_array_value"),
    6: ("Boolean values are:", "bool_array_value"),
    7: ("Integer values are:", "integer_array_value"),
    8: ("Double values are:", "double_array_value"),
    9: ("String values are:", "string_array_value"),
}


def register(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(metavar="verb", required=True)
    add_verb(verbs, list_).add_argument("node", nargs="?")
    for function in (get, set_, describe):
        verb = add_verb(verbs, function)
        verb.add_argument("node")
        verb.add_argument("parameter")
        if function is set_:
            verb.add_argument("value", help="YAML: true, 3, 3.0, text, [1, 2]")
    add_verb(verbs, dump).add_argument("node")


def list_(args: argparse.Namespace) -> int:
    """List the parameters of a node or of all nodes."""
    with session() as node:
        if args.node:
            print(_listed(node, args.node))
            return 0
        names = settle(node, lambda: node_names(node), names=True)
        return for_each(names, lambda name: print(f"{name}:\n{_listed(node, name)}"))


def get(args: argparse.Namespace) -> None:
    """Print the value of a parameter."""
    with session() as node:
        value = _values(node, args.node, [args.parameter])[0]
        if value.type not in _KINDS:
            choices = ", ".join(_names(node, args.node)) or "none"
            raise CommandError(f"no parameter '{args.parameter}' in node '{args.node}', choices: {choices}")
    print(_KINDS[value.type][0], _plain(value))


def set_(args: argparse.Namespace) -> None:
    """Set a parameter."""
    from rcl_interfaces.msg import Parameter
    from rclpy.parameter import get_parameter_value

    value = get_parameter_value(args.value)
    parameter = Parameter(name=args.parameter, value=value)
    with session() as node:
        result = _call(node, args.node, "SetParameters", parameters=[parameter]).results[0]
    if not result.successful:
        raise CommandError(f"setting parameter '{args.parameter}' failed: {result.reason}")
    print("Set parameter successful" + (f": {result.reason}" if result.reason else ""))


def describe(args: argparse.Namespace) -> None:
    """Print type, description and constraints of a parameter."""
    with session() as node:
        found = _call(node, args.node, "DescribeParameters", names=[args.parameter]).descriptors
    if not found:
        raise CommandError(f"no parameter '{args.parameter}' in node '{args.node}'")
    kind = _KINDS.get(found[0].type, ("not set",))[0].split(" value")[0].lower()
    print(f"Parameter name: {found[0].name}\n  Type: {kind}")
    if found[0].description:
        print(f"  Description: {found[0].description}")
    print(f"  Constraints:\n    Read only: {str(found[0].read_only).lower()}")
    for limits in [*found[0].integer_range, *found[0].floating_point_range]:
        print(
            f"    Min value: {limits.from_value}\n    Max value: {limits.to_value}\n    Step: {limits.step}"
        )


def dump(args: argparse.Namespace) -> None:
    """Print the parameters of a node as a parameter file."""
    import yaml

    with session() as node:
        names = _names(node, args.node)
        values = _values(node, args.node, names)
    tree: dict[str, Any] = {}
    for name, value in zip(names, values, strict=True):
        *groups, last = name.split(".")
        branch = tree
        for group in groups:
            branch = branch.setdefault(group, {})
        branch[last] = _plain(value) if value.type in _KINDS else None
    full = args.node if args.node.startswith("/") else f"/{args.node}"
    print(yaml.safe_dump({full: {"ros__parameters": tree}}, default_flow_style=False), end="")


def _listed(node: Any, name: str) -> str:
    return "\n".join(f"  {parameter}" for parameter in _names(node, name))


def _names(node: Any, name: str) -> list[str]:
    return sorted(_call(node, name, "ListParameters").result.names)


def _values(node: Any, name: str, parameters: list[str]) -> list[Any]:
    values = _call(node, name, "GetParameters", names=parameters).values
    if len(values) != len(parameters):
        choices = ", ".join(_names(node, name)) or "none"
        raise CommandError(f"no parameter '{parameters[0]}' in node '{name}', choices: {choices}")
    return values


def _plain(value: Any) -> Any:
    found = getattr(value, _KINDS[value.type][1])
    return found if isinstance(found, (bool, int, float, str)) else list(found)


def _call(node: Any, name: str, service: str, **fields: Any) -> Any:
    """Calls one of the parameter services of the node."""
    from importlib import import_module

    short, namespace = require_node(node, name)
    service_type = getattr(import_module("rcl_interfaces.srv"), service)
    verb = {"List": "list", "Get": "get", "Set": "set", "Describe": "describe"}[
        service.removesuffix("Parameters")
    ]
    path = f"{namespace.rstrip('/')}/{short}/{verb}_parameters"
    return call(node, service_type, path, service_type.Request(**fields), answer_s=5.0)
