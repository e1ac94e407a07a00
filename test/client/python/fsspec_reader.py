"""Reads a run through fsspec's HTTP file system, as pandas, dask and zarr do, and prints what it found as JSON.

Usage: fsspec_reader.py URL-OF-RUN LARGE-FILE
"""

import hashlib
import json
import sys
from urllib.parse import unquote

import fsspec

MIB = 1 << 20


def digest(file):
    sha256 = hashlib.sha256()
    while chunk := file.read(4 * MIB):
        sha256.update(chunk)
    return sha256.hexdigest()


def pieces_of(file, length):
    """Out of order, so that the cache has to ask for blocks of their own."""
    pieces = []
    for offset in (file.size - length, 3 * MIB, 0, 5 * MIB - length // 2):
        file.seek(offset)
        pieces.append([offset, file.read(length).hex()])
    return pieces


def main(run, large):
    fs = fsspec.filesystem("http")

    def relative(url):
        return unquote(url.removeprefix(run))

    walked = {
        relative(folder): [sorted(map(unquote, folders)), sorted(map(unquote, files))]
        for folder, folders, files in fs.walk(run)
    }
    with fs.open(run + large, block_size=MIB, cache_type="blockcache") as file:
        pieces = pieces_of(file, 64)
    with fs.open(run + large, block_size=0) as file:
        streamed = digest(file)
    ranges = fs.cat_ranges([run + large] * 3, [0, 100, 5 * MIB], [10, 200, 5 * MIB + 50])

    json.dump(
        {
            "types": {relative(entry["name"]): entry["type"] for entry in fs.ls(run, detail=True)},
            "csv": sorted(relative(url) for url in fs.glob(run + "**/*.csv")),
            "walked": walked,
            "contents": {
                relative(url): hashlib.sha256(fs.cat_file(url)).hexdigest()
                for url in fs.find(run)
                if relative(url) != large
            },
            "large": {
                "size": fs.size(run + large),
                "streamed": streamed,
                "pieces": pieces,
                "ranges": [content.hex() for content in ranges],
            },
        },
        sys.stdout,
    )


main(*sys.argv[1:])
