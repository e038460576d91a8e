"""The environments' official data: whether they are where they would be looked for, and whole."""

from __future__ import annotations

import os
from collections.abc import Iterator

from sdar_cli.checkup.finding import Finding
from sdar_cli.paths import user_path
from sdar_cli.reading import Missing, Unreadable, open_regular


def alfworld_games() -> Iterator[Finding]:
    given = os.environ.get("ALFWORLD_DATA")
    folder = user_path(given or "~/.cache/alfworld")
    if (folder / "json_2.1.1").is_dir():
        yield Finding("ALFWorld's games", "ok", str(folder))
    elif given:
        remedy = "point ALFWORLD_DATA at the folder that holds json_2.1.1, or sdar data alfworld --fetch"
        yield Finding("ALFWorld's games", "problem", f"no json_2.1.1 in {folder}", remedy)
    else:
        remedy = "for the official games: sdar data alfworld --fetch"
        yield Finding("ALFWorld's games", "absent", f"not in {folder}", remedy)


def webshop_store() -> Iterator[Finding]:
    from sdar_cli.errors import EnvironmentSetupError
    from sdar_envs.webshop.location import official_folder
    from sdar_envs.webshop.manifest import MANIFEST
    from sdar_envs.webshop.store import Store

    subject, folder = "WebShop's store", official_folder(None)
    try:
        store = Store.open(folder)
    except EnvironmentSetupError as error:
        found = str(error).rpartition(": ")[0]
        if (folder / MANIFEST).exists():
            yield Finding(subject, "problem", found, "remove the folder, then sdar data webshop --from FOLDER")
        elif folder.with_name(f"{folder.name}.draft").is_dir():
            yield Finding(subject, "absent", found, "run the same sdar data webshop --from FOLDER again")
        elif os.environ.get("SDAR_WEBSHOP"):
            remedy = "point SDAR_WEBSHOP at an imported store, or import it there: sdar data webshop --from FOLDER"
            yield Finding(subject, "problem", f"no store in {folder}", remedy)
        else:
            remedy = "for the official products: sdar data webshop --from FOLDER"
            yield Finding(subject, "absent", f"not in {folder}", remedy)
    else:
        yield Finding(subject, "ok", f"{folder}, {len(store):,} products")
        store.close()


def search_qa_questions() -> Iterator[Finding]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    subject, given = "Search-QA's questions", os.environ.get("SDAR_SEARCH_QA")
    if not given:
        remedy = "for the official questions: point it at the folder of train.parquet and test.parquet"
        yield Finding(subject, "absent", "SDAR_SEARCH_QA is not set", remedy)
        return
    folder, counts = user_path(given), []
    for name in ("train.parquet", "test.parquet"):
        try:
            with open_regular(folder / name) as content:
                counts.append(pq.read_metadata(content).num_rows)
        except (Unreadable, pa.ArrowException, OSError) as error:
            missing = isinstance(error, Missing)
            found = f"no {name} in {folder}" if missing else f"{folder / name} cannot be read"
            remedy = "point SDAR_SEARCH_QA at the folder that holds it" if missing else "restore it from its source"
            yield Finding(subject, "problem", found, remedy)
            return
    yield Finding(subject, "ok", f"{folder}, {counts[0]:,} to train on and {counts[1]:,} to test")
