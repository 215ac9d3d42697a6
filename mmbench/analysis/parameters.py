"""Parameters of algorithms and tasks, defaults included, as they were stored.

They come from the stored description, never from a class: a default may have changed
since the cell was computed.
"""

import json
from collections.abc import Hashable, Iterator, Mapping
from typing import Any, Literal

import pandas as pd

from mmbench.core.description import text

NOT_PARAMETERS = ("class", "version")
PREFIX = "param_"  # of the columns that `spread` makes


def parameters_of(
    footer: Mapping[str, Any], member: Literal["algorithm", "task"] = "algorithm"
) -> dict[str, Any]:
    """Return the parameters of a cell's algorithm or task, sorted by name.

    Args:
        footer: the cell's footer. Those of mmbench 0.1 lack the parameters that are no
            part of a key.
        member: whose parameters.

    Returns:
        Name to JSON value. A nested description is a dict with its short name under
        "class".
    """
    description = footer.get("description", footer["cell"])[member]
    parameters = _simplify(description)
    parameters.pop("class", None)
    return parameters


def to_json(parameters: Mapping[str, Any]) -> str:
    """Return parameters as JSON with sorted keys: equal ones give equal text."""
    return json.dumps(parameters, sort_keys=True)


def format_spec(name: str, parameters: Mapping[str, Any]) -> str:
    """Return a spec with all parameters, `gda[direction=plain,step_size=0.1]`."""
    inner = [f"{key}={format_value(value)}" for key, value in parameters.items()]
    return f"{name}[{','.join(inner)}]" if inner else name


def format_value(value: Any) -> str:
    """Format a value of `parameters_of` as in a spec."""
    if isinstance(value, dict):
        inner = {key: entry for key, entry in value.items() if key != "class"}
        return format_spec(str(value.get("class", "")), inner)
    if isinstance(value, list):
        return f"({','.join(map(format_value, value))})"
    return "none" if value is None else text(value)


def spread(frame: pd.DataFrame) -> pd.DataFrame:
    """Replace the column of parameters by one column for each parameter.

    A parameter `k` becomes `param_k`. A nested description fills `param_k` with its
    short name and `param_k.<field>` with its fields; a sequence is text such as
    "(0.1,0.2)". A cell without the parameter holds NaN.
    """
    texts = frame["parameters"]
    columns = {one: dict(_flatten(json.loads(one))) for one in texts.unique()}
    names = dict.fromkeys(name for column in columns.values() for name in column)
    made = {
        PREFIX + name: texts.map(
            {one: column.get(name) for one, column in columns.items()}
        ).infer_objects()
        for name in sorted(names)
    }
    at = list(frame).index("parameters")
    return pd.concat(
        [frame.iloc[:, :at], pd.DataFrame(made), frame.iloc[:, at + 1 :]], axis=1
    )


def _flatten(parameters: Mapping[str, Any], path: str = "") -> Iterator[Any]:
    """Yield pairs of a name and a plain value."""
    for key, value in parameters.items():
        name = path.removesuffix(".") if key == "class" else path + key
        if isinstance(value, dict):
            yield from _flatten(value, f"{name}.")
        else:
            yield name, format_value(value) if isinstance(value, list) else value


def tell_apart(
    names: Mapping[str, str],
    descriptions: Mapping[str, Mapping[str, Any]],
    within: Mapping[str, Hashable],
) -> dict[str, str]:
    """Return names that differ where what they stand for does.

    Args:
        names: key of a cell to a name.
        descriptions: key to what the name stands for, as JSON values.
        within: key to the group in which a name must stand for one description.

    Returns:
        Key to name. A name that stands for several descriptions in a group gets the
        values added in which they differ, in all groups.
    """
    groups: dict[tuple[str, Hashable], list[str]] = {}
    for key, name in names.items():
        groups.setdefault((name, within[key]), []).append(key)
    flat = {key: dict(_fields(one)) for key, one in descriptions.items()}
    differing: dict[str, dict[str, None]] = {}
    for (name, _), keys in groups.items():
        if len(keys) > 1:
            fields = dict.fromkeys(field for key in keys for field in flat[key])
            for field in fields:
                if len({repr(flat[key].get(field)) for key in keys}) > 1:
                    differing.setdefault(name, {})[field] = None
    made = dict(names)
    for key, name in names.items():
        known = [field for field in differing.get(name, ()) if field in flat[key]]
        words = ", ".join(in_words(field, flat[key][field]) for field in known)
        made[key] = f"{name} ({words})" if words else name
    return made


def in_words(field: str, value: Any) -> str:
    """Return a field of a description with its value, such as "500 steps".

    Args:
        field: the names that lead to it, such as "algorithm.direction.beta1".
        value: its JSON value.
    """
    *outer, name = field.removeprefix("algorithm.").removeprefix("task.").split(".")
    path = ".".join(outer)
    if name == "class":
        reference, _, code = str(value).partition("@")
        file = f"{reference.partition(':')[0]}, code {code[:6]}"
        short = file if code and not path else _short_name(str(value))
        return f"{path}={short}" if path else short
    if name == "version":
        return " ".join(filter(None, (path, f"version {value}")))
    if name == "seeds" and value:
        return f"seeds {min(value)} to {max(value)}"
    if name == "target":
        return f"target {value}" if value else "no target"
    if field == "budget":
        return str(value)
    if field in ("steps", "records"):
        return f"{value} {name}"
    return f"{'.'.join((*outer, name))}={format_value(_simplify(value))}"


def _fields(value: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each field of a description, nested ones too, with its JSON value."""
    for key, one in value.items():
        if isinstance(one, dict):
            yield from _fields(one, f"{path}{key}.")
        else:
            yield path + key, one


def _simplify(value: Any) -> Any:
    """Return JSON values of a description with short names of classes, keys sorted."""
    if isinstance(value, list):
        return [_simplify(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    fields = {
        key: _simplify(value[key]) for key in sorted(value) if key not in NOT_PARAMETERS
    }
    return {"class": _short_name(value.get("class", ""))} | fields


def _short_name(reference: str) -> str:
    """Return the name that a spec has for the class of a stored reference.

    It is what `mmbench.core.description.name_of` returns for the class itself.
    """
    location, _, name = reference.partition("@")[0].rpartition(":")
    file = location.rpartition(".")[2]
    if "@" in reference or not location.startswith("mmbench."):
        return name.rpartition(".")[2]
    return name.lower() if file.startswith("_") else file
