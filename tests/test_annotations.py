"""Every public function and method of what the packages export says what it takes and gives."""

import importlib
import inspect

import pytest

PACKAGES = ("", ".data", ".streams", ".memory", ".metrics", ".networks", ".callbacks", ".models", ".optimizers")


def own_functions(name, item):
    """Yields `(name, function)` of a function, or of the public methods that a class defines itself."""
    if inspect.isfunction(item):
        yield name, item
    elif inspect.isclass(item):
        for own in item.__mro__:
            if not own.__module__.startswith("ocm_tf."):
                continue
            for attribute, member in vars(own).items():
                if attribute.startswith("_") and attribute not in ("__init__", "__call__", "__len__", "__getitem__"):
                    continue
                member = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
                # What a dataclass or a named tuple makes has a file of its own.
                if inspect.isfunction(member) and member.__code__.co_filename.endswith(".py"):
                    yield f"{own.__name__}.{attribute}", inspect.unwrap(member)


def missing_annotations(function):
    """Returns the names of the parameters without an annotation, and "return" if there is none."""
    signature = inspect.signature(function)
    parameters = [parameter for parameter in signature.parameters.values() if parameter.name not in ("self", "cls")]
    missing = [parameter.name for parameter in parameters if parameter.annotation is inspect.Parameter.empty]
    return missing + (["return"] if signature.return_annotation is inspect.Signature.empty else [])


@pytest.mark.parametrize("package", PACKAGES)
def test_everything_public_is_annotated(package):
    module = importlib.import_module(f"ocm_tf{package}")
    functions = [pair for name in module.__all__ for pair in own_functions(name, getattr(module, name))]
    assert functions
    assert {name: missing for name, function in functions if (missing := missing_annotations(function))} == {}


def test_what_lacks_annotations_is_found():
    class Half:
        def whole(self, a: int) -> int:
            return a

        def part(self, a: int, b) -> int:
            return a

    Half.__module__ = "ocm_tf.half"
    found = {name: missing_annotations(function) for name, function in own_functions("Half", Half)}
    assert found == {"Half.whole": [], "Half.part": ["b"]}
    assert missing_annotations(lambda: None) == ["return"]
