"""Where templates come from: the checkout, the wheel, and the owner's own folder before them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from jinja2 import (
    BaseLoader,
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    ModuleLoader,
    Template,
    TemplateError,
    TemplateNotFound,
    TemplateSyntaxError,
)

from emulator.errors import ConfigError, Problem
from emulator.model.instance import Content
from emulator.render.environment import as_written, make_environment
from emulator.render.sandbox import begin, check_time

SUFFIX = ".j2"
MAX_DOCUMENT = 16 << 20

_PACKAGE = Path(__file__).parent.parent
_COMPILED = _PACKAGE / "_templates" / "compiled"
_WHEEL_SOURCE = _PACKAGE / "_templates" / "source"
SOURCE = _WHEEL_SOURCE if _WHEEL_SOURCE.is_dir() else _PACKAGE.parent / "templates"


class Templates:
    """All templates, those in ``overrides`` first.

    That is a folder laid out like ``templates/``, or a flat one: a mounted ConfigMap has no
    folders, so there ``DIALECT.NAME.j2`` stands for ``DIALECT/NAME.j2``.
    """

    def __init__(self, overrides: str = "") -> None:
        """Raise ``ConfigError`` if ``overrides`` is not a folder."""
        loaders: list[BaseLoader] = []
        self._own: Mapping[str, str] = {}
        self._overrides = overrides
        if overrides:
            if not Path(overrides).is_dir():
                raise ConfigError(Problem(overrides, 0, "", "no such folder", "a folder"))
            own = _Own(overrides)
            self._own = own.places
            loaders.append(own)
        if _COMPILED.is_dir():
            loaders.append(ModuleLoader(_COMPILED))
        loaders.append(FileSystemLoader(SOURCE))
        self._environment = make_environment(ChoiceLoader(loaders))

    def added(self, dialect: str) -> list[str]:
        """Name the documents that the owner's folder adds to ``dialect``, without suffix."""
        prefix = f"{dialect}/"
        return sorted(
            name.removeprefix(prefix).removesuffix(SUFFIX)
            for name in self._own
            if name.startswith(prefix) and not (SOURCE / name).is_file()
        )

    def render(self, dialect: str, name: str, variables: dict[str, object]) -> bytes:
        """Render template ``name`` of ``dialect``; raise ``ConfigError`` saying where it fails."""
        path = f"{dialect}/{name}{SUFFIX}"
        place = self._own.get(path, f"templates/{path}")
        try:
            return _output(self._environment.get_template(path), variables)
        except Exception as error:
            raise ConfigError(_problem(error, place, "", 1)) from error

    def expand(self, content: Content, variables: dict[str, object], field: str) -> bytes:
        """Expand an owner's text that asked for it; errors name its file and line, and ``field``.

        What is not a template in it stays as it is: line ends, blank lines, the final newline.
        """
        try:
            source = content.data.decode()
            environment = as_written(self._environment, "\r\n" if "\r\n" in source else "\n")
            template = environment.from_string(source)
            return _output(template, variables)
        except Exception as error:
            raise ConfigError(_problem(error, content.file, field, content.line)) from error

    def check(self, dialects: Collection[str]) -> None:
        """Raise ``ConfigError`` for folders of the owner's that no dialect reads."""
        allowed = f"folders named {', '.join(dialects)}"
        strange = sorted({name.partition("/")[0] for name in self._own} - set(dialects))
        if strange:
            raise ConfigError(*(Problem(self._overrides, 0, "", n, allowed) for n in strange))


class _Own(BaseLoader):
    """The owner's templates, ``places`` by dialect and name; looked for when it is made."""

    def __init__(self, folder: str) -> None:
        self.places: dict[str, str] = {}
        for name in FileSystemLoader(folder).list_templates():
            # The kubelet's own folders (``..data``): what is in them has a link outside.
            if name.endswith(SUFFIX) and not name.startswith(".."):
                dialect, dot, rest = name.partition(".")
                flat = "/" not in name and dot and rest != SUFFIX[1:]
                self.places[f"{dialect}/{rest}" if flat else name] = str(Path(folder, name))

    def get_source(
        self, environment: Environment, template: str
    ) -> tuple[str, str | None, Callable[[], bool] | None]:
        """Give the text and the file of ``template`` (called by Jinja)."""
        del environment
        place = self.places.get(template)
        if place is None:
            raise TemplateNotFound(template)
        return Path(place).read_text("utf-8"), place, None


def _output(template: Template, variables: dict[str, object]) -> bytes:
    begin()
    parts = []
    size = 0
    for part in template.generate(variables):
        check_time()
        data = part.encode()
        size += len(data)
        if size > MAX_DOCUMENT:
            message = f"the document grows beyond {MAX_DOCUMENT} bytes"
            raise TemplateError(message)
        parts.append(data)
    return b"".join(parts)


def _problem(error: Exception, file: str, field: str, first: int) -> Problem:
    """Say what fails where; the text's own lines count from ``first`` of ``file``."""
    if isinstance(error, TemplateSyntaxError):
        line = error.lineno + first - 1
        return Problem(file, line, field, f"a template error: {error.message}", "Jinja")
    if isinstance(error, TemplateNotFound):
        return Problem(file, first, field, f"no template {error.message}", "one that exists")
    line = (_line(error) or 1) + first - 1
    found = f"a template that fails: {type(error).__name__}: {error}"
    return Problem(file, line, field, found, "names and filters that templates know")


def _line(error: Exception) -> int:
    """Find the line in the outermost template that ``error`` passed through."""
    trace = error.__traceback__
    line = 0
    while trace is not None:
        if "__jinja_exception__" in trace.tb_frame.f_globals:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
