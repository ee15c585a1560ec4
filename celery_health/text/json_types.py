"""What a value of JSON is, in words for people who read of a message that is wrong."""

from __future__ import annotations


def json_type(value: object) -> str:
    """Return what a value is: ``a list``."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "a list"
        case _:
            return "an object"


def json_empty(value: object) -> str:
    """Return which of JSON's empty values this is: ``an empty text``."""
    match value:
        case bool():
            return "false"
        case int() | float():
            return "0"
        case str():
            return "an empty text"
        case _:
            return "empty"
