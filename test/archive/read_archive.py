"""Prints for each member of an archive: its name in hexadecimal UTF-8, its size, its CRC-32.

    read_archive.py zip FILE         zipfile, which checks every checksum as it reads
    read_archive.py tar FILE         tarfile, seeking
    read_archive.py tar-stream -     tarfile, from standard input, compressed or not
"""
import sys
import tarfile
import zipfile
import zlib


def show(name, size, content):
    crc = 0
    if content is not None:
        while chunk := content.read(1 << 20):
            crc = zlib.crc32(chunk, crc)
    print(name.encode("utf-8").hex(), size, crc)


def read_zip(path):
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            with archive.open(member) as content:
                show(member.filename, member.file_size, content)


def read_tar(archive):
    for member in archive:
        name = member.name + "/" if member.isdir() else member.name
        show(name, member.size, archive.extractfile(member) if member.isfile() else None)


kind, path = sys.argv[1:]
if kind == "zip":
    read_zip(path)
elif kind == "tar":
    with tarfile.open(path) as archive:
        read_tar(archive)
else:
    with tarfile.open(fileobj=sys.stdin.buffer, mode="r|*") as archive:
        read_tar(archive)
