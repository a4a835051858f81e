"""What mkdocs does not find in docs/: the pages at the root of the repository, and the reference of the command line.

Links between the files are written for the repository; on the site the files lie elsewhere, so links are turned.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from mkdocs.structure.files import File, Files

from candor.cli.main import app

ROOT = Path(__file__).resolve().parents[1]

PAGES = {
    "index.md": "README.md",
    "recipes.md": "recipes/README.md",
    "changelog.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
    "security.md": "SECURITY.md",
}
"""Page of the site, and the file of the repository that it shows."""

LINK = re.compile(r"\]\((?!https?://|#|mailto:)([^)#\s]*)(#[^)\s]*)?\)")
ROLE = re.compile(r":(?:func|meth|class|data|mod|attr|exc):<code>[~.]?")
MARKUP = re.compile(r"\[/?[a-z]*\]")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are made here."""
    for page, source in PAGES.items():
        words = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=_turned(words, (ROOT / source).parent, config.repo_url)))
    files.append(File.generated(config, "reference-cli.md", content=command_line()))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Turn the links of a page in docs/ that lead out of it."""
    if page.file.src_uri in PAGES:
        return markdown
    return _turned(markdown, ROOT / "docs", config.repo_url)


def on_page_content(html: str, page: Any, config: Any, files: Files) -> str:
    """Show references in docstrings as the names that they are."""
    return ROLE.sub("<code>", html)


def command_line() -> str:
    """Every command with its arguments and options, from the commands themselves."""
    lines = ["# Command line", "", "`candor COMMAND --help` prints the same."]
    for path, command in _commands("candor", typer.main.get_command(app)):
        arguments = [p for p in command.params if p.param_type_name == "argument"]
        options = [p for p in command.params if p.param_type_name == "option" and p.name != "help" and not p.hidden]
        usage = f"{path} [OPTIONS]" if options else path
        usage += "".join(f" {str(p.name).upper()}{'...' if p.nargs == -1 or p.multiple else ''}" for p in arguments)
        lines += ["", f"## {path}", "", f"`{usage}`", "", MARKUP.sub("", command.help or "").strip()]
        if arguments or options:
            lines += ["", "| | |", "| --- | --- |"]
        for parameter in [*arguments, *options]:
            names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
            lines.append(f"| {names} | {_cell(getattr(parameter, 'help', '') or '')} |")
    return "\n".join(lines) + "\n"


def _commands(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    below = getattr(command, "commands", None)
    if below is None:
        yield path, command
        return
    for name, one in below.items():
        yield from _commands(f"{path} {name}", one)


def _cell(text: str) -> str:
    return MARKUP.sub("", text).replace("|", "\\|").replace("<", "&lt;")


def _turned(markdown: str, folder: Path, repository: str) -> str:
    """Links as they have to read on a page of the site, from those in a file of ``folder``."""
    shown = {(ROOT / source).resolve(): page for page, source in PAGES.items()}

    def turn(found: re.Match[str]) -> str:
        target, anchor = found[1], found[2] or ""
        path = (folder / target).resolve()
        if path in shown:
            return f"]({shown[path]}{anchor})"
        if path.is_relative_to(ROOT / "docs"):
            return f"]({path.relative_to(ROOT / 'docs').as_posix()}{anchor})"
        if path.exists() and path.is_relative_to(ROOT):
            return f"]({repository}/blob/main/{path.relative_to(ROOT).as_posix()}{anchor})"
        return found[0]  # which mkdocs then calls wrong

    return LINK.sub(turn, markdown)
