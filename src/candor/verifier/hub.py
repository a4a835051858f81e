"""An exported folder on the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

from candor.errors import PushError, RunError
from candor.verifier.export import CARD
from candor.verifier.verifier import EXPORTED


def push_folder(folder: Path, repo: str, *, private: bool = True, endpoint: str | None = None) -> str:
    """Upload what :func:`candor.verifier.export.export_run` wrote.

    The token is the one that ``hf auth login`` keeps, or the variable ``HF_TOKEN``.

    Args:
        folder: an exported folder.
        repo: ``owner/name`` on the hub; made if it is not there.
        private: whether a repository that is made is private.
        endpoint: address of another hub than the public one.

    Returns:
        Address of the upload.

    Raises:
        RunError: the folder is no export.
        PushError: the hub cannot be reached, or refuses.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError

    if not all((folder / name).is_file() for name in (EXPORTED, CARD)):
        raise RunError(f"{folder} is no exported folder; make one with candor export RUN --out {folder}")
    api = HfApi(endpoint=endpoint, library_name="candor")
    try:
        name = api.create_repo(repo, private=private, exist_ok=True).repo_id
        done = api.upload_folder(folder_path=folder, repo_id=name, commit_message=f"Upload {folder.name}")
    except HFValidationError as error:
        raise PushError(f"{repo!r} is no name of a repository (owner/name): {error}") from error
    except Exception as error:
        # The hub's errors, those of the HTTP library below it and those of the network share no base.
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise PushError(f"the hub did not take {repo}: {reason}; log in with: hf auth login") from error
    return str(done)
