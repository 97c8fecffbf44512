"""Parameters of nodes in launch files: values with a type, files with substitutions."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import Any

from launch.substitution import Substitution, SubstitutionFailure
from launch.substitutions import EnvironmentVariable, LaunchConfiguration
from launch.utilities import to_text


class ParameterValue:
    """A parameter value; with `value_type` (str, bool, int, float) a substitution is read as that type."""

    def __init__(self, value: Any, *, value_type: type | None = None) -> None:
        self.value, self.value_type = value, value_type

    def evaluate(self, context) -> Any:
        """The value. Raises ValueError if it is not of the type."""
        if self.value_type is None or not _is_substitution(self.value):
            return evaluate_value(context, self.value)
        text = to_text(context, self.value)
        if self.value_type is str:
            return text
        value = _yaml_value(text)
        if self.value_type is float and type(value) is int:
            return float(value)
        if type(value) is not self.value_type:
            raise ValueError(f"parameter value '{text}' is not of type {self.value_type.__name__}")
        return value


class ParameterFile:
    """A YAML file of parameters; with `allow_substs`, `$(var name)` and `$(env NAME)` in it are replaced."""

    def __init__(self, param_file: Any, *, allow_substs: Any = False) -> None:
        self.param_file, self.allow_substs = param_file, allow_substs

    def evaluate(self, context) -> str:
        """The path of the file to give to the node. Raises FileNotFoundError."""
        path = to_text(context, self.param_file)
        if not Path(path).is_file():
            raise FileNotFoundError(f"parameter file '{path}' does not exist")
        if str(self.allow_substs).lower() not in ("true", "1"):
            return path
        text = re.sub(
            r"\$\((var|env) ([^)]+)\)",
            lambda match: _replace(context, *match.groups()),
            Path(path).read_text(),
        )
        return _write(context, text)


def parameter_arguments(context, parameters: Any) -> list[str]:
    """`--params-file` arguments for a node's list of dictionaries and YAML files; later ones win."""
    arguments = []
    for entry in parameters:
        if isinstance(entry, dict):
            path = _write_values(context, evaluate_values(context, entry))
        else:
            path = (entry if isinstance(entry, ParameterFile) else ParameterFile(entry)).evaluate(context)
        arguments += ["--params-file", path]
    return arguments


def evaluate_values(context, values: dict[Any, Any], prefix: str = "") -> dict[str, Any]:
    """{"a.b": value} of nested dictionaries with substitutions as keys and values."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = prefix + to_text(context, key)
        if isinstance(value, dict):
            flat |= evaluate_values(context, value, name + ".")
        else:
            flat[name] = (
                value.evaluate(context)
                if isinstance(value, ParameterValue)
                else evaluate_value(context, value)
            )
    return flat


def evaluate_value(context, value: Any) -> Any:
    """Plain values as they are; the text of substitutions read as YAML: `true` a boolean, `3` a number."""
    if _is_substitution(value):
        return _yaml_value(to_text(context, value))
    if isinstance(value, (list, tuple)):
        return [evaluate_value(context, item) for item in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value


def _is_substitution(value: Any) -> bool:
    """A substitution, or parts to be joined of which one is a substitution."""
    return isinstance(value, Substitution) or (
        isinstance(value, (list, tuple))
        and any(isinstance(item, Substitution) for item in value)
        and all(isinstance(item, (str, Substitution)) for item in value)
    )


def _yaml_value(text: str) -> Any:
    import yaml

    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    return text if value is None or isinstance(value, dict) else value


def _write_values(context, values: dict[str, Any]) -> str:
    import yaml

    return _write(
        context, yaml.safe_dump({"/**": {"ros__parameters": values}}, allow_unicode=True, sort_keys=False)
    )


def _write(context, text: str) -> str:
    with tempfile.NamedTemporaryFile(
        "w", dir=context.temporary_folder(), suffix=".yaml", delete=False
    ) as file:
        file.write(text)
    return file.name


def _replace(context, kind: str, name: str) -> str:
    if kind == "env":
        return EnvironmentVariable(name).perform(context)
    return LaunchConfiguration(name).perform(context)


__all__ = ["ParameterFile", "ParameterValue", "SubstitutionFailure", "evaluate_values", "parameter_arguments"]
