"""The wiki index beside a dict of all pages in memory: building, looking up, retrieving; and a build that is killed.

    python benchmarks/wiki.py --pages 20000 200000 1000000

makes synthetic dumps of the official form (words with the frequencies of English, five sentences a page), and
prints Markdown tables. Each figure comes from a process of its own, so that peak memory is that of one way alone.
Of dumps larger than ``--compare-up-to`` the index alone is measured, since the dict would fill the memory; a million
pages take four minutes and 2 GB of disk.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from candor.data.wiki.index import WikiIndex, build_wiki_index
from candor.data.wiki.retrieval import Retriever

WORDS = 300_000
"""Different words of a synthetic dump."""

PAGES_PER_SHARD = 5_000
LOOKUPS = 20_000
QUERIES = 500


def write_dump(path: Path, pages: int, seed: int = 0) -> None:
    """Write a dump: words follow Zipf's law, each page's title recurs in its sentences."""
    rng = np.random.default_rng(seed)
    # Zipf-Mandelbrot with the offset usual for English.
    weights = 1.0 / (np.arange(WORDS) + 2.7)
    cumulative = np.cumsum(weights / weights.sum())
    words = np.array([f"w{number:x}" for number in range(WORDS)])
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for shard, first in enumerate(range(0, pages, PAGES_PER_SHARD), start=1):
            count = min(PAGES_PER_SHARD, pages - first)
            sentences_of = rng.integers(1, 10, size=count)
            ends = np.cumsum(rng.integers(8, 40, size=sentences_of.sum()))
            drawn = iter(np.split(words[np.searchsorted(cumulative, rng.random(ends[-1]))], ends[:-1]))
            lines = ['{"id": "", "text": "", "lines": ""}']
            for page, number in enumerate(sentences_of, start=first):
                name = f"Person{page // 3} Town{page % 977}"
                sentences = [f"{name} {' '.join(next(drawn))} ." for _ in range(number)]
                text = "\n".join(f"{n}\t{sentence}\tw1\tw2" for n, sentence in enumerate(sentences))
                title = f"{name}_-LRB-{page}-RRB-".replace(" ", "_")
                lines.append(json.dumps({"id": title, "text": " ".join(sentences), "lines": text}))
            archive.writestr(f"wiki-pages/wiki-{shard:03d}.jsonl", "\n".join(lines) + "\n")


def peak_mib() -> float:
    """Peak resident memory of this process. (Not ``ru_maxrss``: that starts at what the parent process had.)"""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def claims(pages: int, count: int) -> list[str]:
    """Claims about pages of the dump, with rare and common words."""
    rng = random.Random(1)
    made = []
    for _ in range(count):
        page = rng.randrange(pages)
        filler = " ".join(f"w{int(WORDS ** rng.random()):x}" for _ in range(6))
        made.append(f"Person{page // 3} Town{page % 977} {filler}.")
    return made


def titles(pages: int, count: int) -> list[str]:
    """Titles of random pages."""
    rng = random.Random(2)
    numbers = [rng.randrange(pages) for _ in range(count)]
    return [f"Person{page // 3}_Town{page % 977}_-LRB-{page}-RRB-" for page in numbers]


def measure_build(dump: Path, index: Path, pages: int) -> dict[str, Any]:
    """Build the index."""
    started = time.perf_counter()
    build_wiki_index(dump, index)
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "peak_mib": peak_mib(), "disk_mib": index.stat().st_size / 2**20}


def measure_read(dump: Path, index: Path, pages: int) -> dict[str, Any]:
    """Look up sentences by title and retrieve sentences for claims."""
    wiki = WikiIndex(index)
    started = time.perf_counter()
    found = sum(wiki.sentence(title, 0) is not None for title in titles(pages, LOOKUPS))
    lookup_seconds = time.perf_counter() - started
    if found != LOOKUPS:
        raise SystemExit(f"only {found} of {LOOKUPS} titles found")
    retriever = Retriever(wiki)
    latencies, hits = [], 0
    for claim in claims(pages, QUERIES):
        started = time.perf_counter()
        sentences = retriever.search(claim, 3)
        latencies.append(time.perf_counter() - started)
        hits += sentences[0].text.startswith(" ".join(claim.split()[:2]) + " ")
    p50, p99 = np.percentile(latencies, [50, 99]) * 1000
    return {
        "lookups_s": LOOKUPS / lookup_seconds,
        "p50_ms": p50,
        "p99_ms": p99,
        "hits": hits / QUERIES,
        "peak_mib": peak_mib(),
    }


def measure_dict(dump: Path, index: Path, pages: int) -> dict[str, Any]:
    """All pages in a dict, and retrieval by counting shared words, sentence by sentence."""
    started = time.perf_counter()
    wiki: dict[str, dict[int, str]] = {}
    with zipfile.ZipFile(dump) as archive:
        for name in archive.namelist():
            with archive.open(name) as stream:
                for line in stream:
                    page = json.loads(line)
                    rows = [row.split("\t") for row in page["lines"].split("\n") if row]
                    wiki[page["id"]] = {int(row[0]): row[1] for row in rows}
    load_seconds = time.perf_counter() - started
    started = time.perf_counter()
    found = sum(0 in wiki[title] for title in titles(pages, LOOKUPS))
    lookup_seconds = time.perf_counter() - started
    if found != LOOKUPS:
        raise SystemExit(f"only {found} of {LOOKUPS} titles found")
    started = time.perf_counter()
    claim = set(claims(pages, 1)[0].lower().split())
    max((len(claim & set(text.lower().split())), title) for title, lines in wiki.items() for text in lines.values())
    scan_ms = (time.perf_counter() - started) * 1000
    return {
        "seconds": load_seconds,
        "lookups_s": LOOKUPS / lookup_seconds,
        "scan_ms": scan_ms,
        "peak_mib": peak_mib(),
    }


MEASURES: dict[str, Callable[[Path, Path, int], dict[str, Any]]] = {
    "build": measure_build,
    "read": measure_read,
    "dict": measure_dict,
}


def run(measure: str, dump: Path, index: Path, pages: int) -> dict[str, Any]:
    """A measurement in a process of its own."""
    command = [sys.executable, __file__, "--measure", measure, str(dump), str(index), str(pages)]
    result = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    measured: dict[str, Any] = json.loads(result.stdout)
    return measured


def build_killed(dump: Path, index: Path, pages: int, after: float) -> dict[str, Any]:
    """Kill a build after some seconds, build again."""
    command = [sys.executable, __file__, "--measure", "build", str(dump), str(index), str(pages)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    time.sleep(after)
    os.kill(process.pid, signal.SIGKILL)
    if process.wait() != -signal.SIGKILL or index.exists():
        raise SystemExit("the build ended before it was killed")
    return run("build", dump, index, pages)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, nargs="+", default=[20_000, 200_000])
    parser.add_argument("--compare-up-to", type=int, default=500_000, help="pages; larger dumps have no dict, no kill")
    parser.add_argument("--measure", nargs=4, metavar=("WHAT", "DUMP", "INDEX", "PAGES"))
    arguments = parser.parse_args()
    if arguments.measure:
        what, dump, index, pages = arguments.measure
        print(json.dumps(MEASURES[what](Path(dump), Path(index), int(pages))))
        return
    print("| pages | way | ready after | pages/s | peak memory | on disk | lookups/s | retrieval p50 / p99 |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    said: list[str] = []
    for pages in arguments.pages:
        with tempfile.TemporaryDirectory() as folder:
            dump, index = Path(folder, "wiki-pages.zip"), Path(folder, "wiki.sqlite")
            write_dump(dump, pages)
            built, read = run("build", dump, index, pages), run("read", dump, index, pages)
            print(
                f"| {pages:,} | index, building | {built['seconds']:.1f} s | {pages / built['seconds']:,.0f} "
                f"| {built['peak_mib']:.0f} MiB | {built['disk_mib']:,.0f} MiB | | |"
            )
            print(
                f"| | index, reading | 0 s | | {read['peak_mib']:.0f} MiB | | {read['lookups_s']:,.0f} "
                f"| {read['p50_ms']:.1f} / {read['p99_ms']:.1f} ms |"
            )
            notes = [f"{pages:,} pages: the right page is retrieved first for {read['hits']:.1%} of claims"]
            if pages > arguments.compare_up_to:
                print("| | dict of all pages | not measured | | | | | |", flush=True)
            else:
                memory = run("dict", dump, index, pages)
                print(
                    f"| | dict of all pages | {memory['seconds']:.1f} s | {pages / memory['seconds']:,.0f} "
                    f"| {memory['peak_mib']:,.0f} MiB | | {memory['lookups_s']:,.0f} "
                    f"| {memory['scan_ms']:,.0f} ms (scan) |",
                    flush=True,
                )
                again = Path(folder, "again.sqlite")
                build_killed(dump, again, pages, after=0.6 * built["seconds"])
                same = WikiIndex(index).fingerprint() == WikiIndex(again).fingerprint()
                notes.append(f"killed after 60 % of the time and built again, the index is the same: {same}")
            said += notes
    print("\n" + "\n".join(said))


if __name__ == "__main__":
    main()
