"""Small faults in a module: cosmic-ray's operators, one replacement of each kind, applied one at a time."""

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, pairwise
from pathlib import Path

from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src/regionflow"

_ARITHMETIC = {"Add": "Sub", "Sub": "Add", "Mul": "FloorDiv", "Div": "Mul", "FloorDiv": "Mul", "Mod": "FloorDiv"}
_BITS = {"BitAnd": "BitOr", "LShift": "RShift", "RShift": "LShift", "Pow": "Mul"}
_COMPARISONS = {
    **{"Eq": ["NotEq"], "NotEq": ["Eq"], "Is": ["IsNot"], "IsNot": ["Is"]},
    **{"Lt": ["LtE", "GtE"], "LtE": ["Lt", "Gt"], "Gt": ["GtE", "LtE"], "GtE": ["Gt", "Lt"]},
}
OPERATORS = [
    *(f"core/ReplaceBinaryOperator_{old}_{new}" for old, new in (_ARITHMETIC | _BITS).items()),
    *(f"core/ReplaceComparisonOperator_{old}_{new}" for old, several in _COMPARISONS.items() for new in several),
    *(f"core/{name}" for name in ("ReplaceAndWithOr", "ReplaceOrWithAnd", "ReplaceTrueWithFalse", "NumberReplacer")),
    *(
        f"core/{name}"
        for name in ("ReplaceFalseWithTrue", "AddNot", "ZeroIterationForLoop", "ReplaceBreakWithContinue")
    ),
    *(f"core/ReplaceUnaryOperator_{name}" for name in ("Delete_Not", "Delete_USub", "Delete_Invert")),
]


@dataclass(frozen=True)
class Mutant:
    """A module with one fault: the function that it is in, its line, and that line before and after."""

    module: str
    source: str
    function: str = ""
    line: int = 0
    before: str = ""
    after: str = ""

    @property
    def key(self) -> str:
        """A name for the record: a hash of the whole source."""
        return hashlib.sha256(self.source.encode()).hexdigest()[:16]

    @property
    def is_safeguard(self) -> bool:
        """It takes away a check of what is so by construction: lists of equal length, objects that nobody changes."""
        return self.after in (self.before.replace(f"{word}=True", f"{word}=False") for word in ("strict", "frozen"))


def unchanged(module: str) -> Mutant:
    """The module as it is."""
    return Mutant(module, (SOURCES / module).read_text())


def gutted(module: str) -> Mutant:
    """Every function raises an error: tests that do not mind have not run this source."""
    tree = ast.parse((SOURCES / module).read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.body = ast.parse("raise RuntimeError('gutted')").body
    return Mutant(module, ast.unparse(tree))


def mutants(module: str) -> Iterator[Mutant]:
    """Every fault in a module."""
    source = (SOURCES / module).read_text()
    lines, functions = source.splitlines(keepends=True), _functions(source)
    seen = {source}
    for start, stop in _parts(source):
        before, part, after = ("".join(some) for some in (lines[:start], lines[start:stop], lines[stop:]))
        for name in OPERATORS:
            for occurrence in count():
                changed = mutate_code(part, get_operator(name)(), occurrence)
                if changed is None:
                    break
                whole = before + changed + after
                if whole not in seen:
                    seen.add(whole)
                    yield _described(module, lines, whole, functions)


def _parts(source: str) -> list[tuple[int, int]]:
    """First line and line after the last, from 0, of what stands at the top: parsing that alone is much faster."""
    top = ast.parse(source).body
    starts = [min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))]) - 1 for node in top]
    return list(pairwise([*starts, len(source.splitlines())]))


def _described(module: str, lines: list[str], changed: str, functions: dict[int, str]) -> Mutant:
    pairs = zip(lines, changed.splitlines(keepends=True), strict=False)
    line, (before, after) = next((i, pair) for i, pair in enumerate(pairs, 1) if pair[0] != pair[1])
    return Mutant(module, changed, functions.get(line, ""), line, before.strip(), after.strip())


def _functions(source: str) -> dict[int, str]:
    """The innermost class or function of each line, with those around it."""
    names: dict[int, str] = {}

    def visit(node: ast.AST, around: str) -> None:
        for child in ast.iter_child_nodes(node):
            name = around
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                name = f"{around}.{child.name}".lstrip(".")
                names.update(dict.fromkeys(range(child.lineno, (child.end_lineno or 0) + 1), name))
            visit(child, name)

    visit(ast.parse(source), "")
    return names
