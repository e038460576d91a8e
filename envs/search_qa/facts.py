"""What is searched, in words: for results, and for telling two evaluations apart."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

from sdar_envs.search_qa.client import ServerSettings
from sdar_envs.search_qa.corpus import FILE, home
from sdar_envs.search_qa.generated import World


def source_facts(source: World | ServerSettings | Path) -> dict[str, str]:
    """``retriever``; where the index is here and made, ``documents`` and ``corpus``, a hash, as well.

    Raises EnvironmentSetupError when the index is damaged. No server is asked: which corpus it holds is not known.
    """
    if isinstance(source, ServerSettings):
        return {"retriever": "http"}
    found = {"retriever": "bm25"}
    file = source.folder / FILE if isinstance(source, World) else source
    if file.is_file():
        folder = file.parent if isinstance(source, World) else home(file)
        if folder.is_dir():
            found |= _corpus_facts(file, folder)
    return found


def _corpus_facts(file: Path, folder: Path) -> dict[str, str]:
    """The hash is over the index's manifest, which holds the hashes of its files, and the corpus' length: reading
    the documents themselves would take minutes where there are millions."""
    from sdar_envs.bm25.format import read_manifest

    manifest = read_manifest(folder / "bm25")
    identity = json.dumps([asdict(manifest), file.stat().st_size], sort_keys=True)
    return {
        "documents": f"{manifest.documents:,}",
        "corpus": hashlib.sha256(identity.encode()).hexdigest()[:16],
    }
