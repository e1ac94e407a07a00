"""Prints one digest over the names (without folders) and contents of the files in a zip or tar archive, in any order.

Usage: python3 archive-digest.py ARCHIVE
"""

import hashlib
import posixpath
import sys
import tarfile
import zipfile


def sha256(stream):
    digest = hashlib.sha256()
    while chunk := stream.read(1 << 20):
        digest.update(chunk)
    return digest.hexdigest()


def members(path):
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if not info.is_dir():
                    with archive.open(info) as stream:
                        yield info.filename, sha256(stream)
    else:
        with tarfile.open(path) as archive:
            for info in archive:
                if info.isfile():
                    yield info.name, sha256(archive.extractfile(info))


lines = sorted(f"{posixpath.basename(name)} {digest}\n" for name, digest in members(sys.argv[1]))
print(hashlib.sha256("".join(lines).encode()).hexdigest())
