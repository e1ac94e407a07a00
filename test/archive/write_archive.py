"""Writes the folder argv[2] as an archive of the form argv[1] to the standard output, which is a pipe: nothing can be sought in it."""
import os
import sys
import tarfile
import zipfile

form, folder = sys.argv[1:]
os.chdir(folder)
if form.startswith("zip"):
    method = zipfile.ZIP_STORED if form == "zip-stored" else zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(sys.stdout.buffer, "w", method) as archive:
        for parent, folders, files in os.walk("."):
            for name in sorted(folders + files):
                path = os.path.join(parent, name)
                if form == "zip64" and os.path.isfile(path):
                    with archive.open(os.path.normpath(path), "w", force_zip64=True) as member:
                        with open(path, "rb") as content:
                            member.write(content.read())
                else:
                    archive.write(path)
else:
    formats = {"pax": tarfile.PAX_FORMAT, "gnu": tarfile.GNU_FORMAT, "ustar": tarfile.USTAR_FORMAT}
    kind, _, compression = form.partition(".")
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|" + compression, format=formats[kind]) as archive:
        archive.add(".")
