"""Build a release into dist/ and check it, up to the upload: ``make release``.

It asks that the checkout is clean, that CHANGELOG.md has a section for the version in pyproject.toml, that twine finds
nothing wrong, and that the wheel holds what candor reads at run time.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]

NEEDED: Final = (
    "candor/py.typed",
    "candor/recipes/demo.yaml",
    "candor/report/assets/page.html.j2",
    "candor/serve/assets/page.html.j2",
    "candor/verifier/card.md.j2",
)
"""Files that are no Python and that the wheel must hold."""


class NotReadyError(Exception):
    """Something stands in the way of a release; says what to do."""


def version_of(root: Path) -> str:
    """The version in pyproject.toml."""
    with (root / "pyproject.toml").open("rb") as file:
        return str(tomllib.load(file)["project"]["version"])


def changes(changelog: str, version: str) -> str:
    """What the changelog says of a version.

    Raises:
        NotReadyError: there is no section ``## VERSION - YYYY-MM-DD``, or nothing in it.
    """
    heading = re.compile(rf"^## {re.escape(version)} - \d{{4}}-\d{{2}}-\d{{2}}$", re.MULTILINE)
    found = heading.search(changelog)
    if found is None:
        raise NotReadyError(
            f"CHANGELOG.md has no section '## {version} - YYYY-MM-DD'; rename '## Unreleased', and begin a new one"
        )
    section = re.split(r"^## ", changelog[found.end() :], maxsplit=1, flags=re.MULTILINE)[0].strip()
    if not section:
        raise NotReadyError(f"CHANGELOG.md says nothing under {version}")
    return section


def check_clean(root: Path) -> None:
    """Refuse a checkout with changes that are not committed.

    Raises:
        NotReadyError: there are some; names them.
    """
    command = ["git", "status", "--porcelain"]
    changed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.split("\n")
    if any(changed):
        raise NotReadyError(
            f"not committed: {', '.join(line[3:] for line in changed[:5] if line)}; commit or remove it"
        )


def check_wheel(wheel: Path) -> None:
    """Refuse a wheel that lacks what candor reads at run time.

    Raises:
        NotReadyError: names what is missing.
    """
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    missing = [name for name in NEEDED if name not in names]
    if not any(name.endswith("/model.safetensors") for name in names):
        missing.append("the sandbox's base model")
    if missing:
        raise NotReadyError(f"{wheel.name} lacks {', '.join(missing)}; see [tool.hatch.build] in pyproject.toml")


def build(root: Path, out: Path) -> list[Path]:
    """Build source distribution and wheel into an empty folder, and check both."""
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(root)]
    subprocess.run(command, check=True)
    files = sorted(out.iterdir())
    subprocess.run([sys.executable, "-m", "twine", "check", "--strict", *map(str, files)], check=True)
    (wheel,) = out.glob("*.whl")
    check_wheel(wheel)
    return files


def main() -> None:
    """Build and check; says how to upload."""
    version = version_of(ROOT)
    try:
        check_clean(ROOT)
        said = changes((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), version)
        files = build(ROOT, ROOT / "dist")
    except NotReadyError as error:
        sys.exit(f"not ready: {error}")
    except subprocess.CalledProcessError as error:
        sys.exit(f"not ready: {' '.join(map(str, error.cmd))} failed")
    print(f"\ncandor {version} is ready: {', '.join(file.name for file in files)}\n\n{said}\n")
    print(f"To publish it: git tag v{version} && git push --tags && {sys.executable} -m twine upload dist/*")


if __name__ == "__main__":
    main()
