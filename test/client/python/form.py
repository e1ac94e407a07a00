"""Uploads files by a form, made by hand with the standard library, and by `requests` where it is asked for, and prints what was answered as JSON.

Usage: form.py URL FILE [requests]
"""

import http.client
import json
import sys
import urllib.parse
import uuid


def pieces(boundary, files):
    for name, path in files:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
        yield head.encode()
        with open(path, "rb") as file:
            while piece := file.read(100_000):
                yield piece
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode()


def post(url, files, whole, **headers):
    parts = urllib.parse.urlsplit(url)
    boundary = uuid.uuid4().hex
    body = pieces(boundary, files)
    headers["Content-Type"] = f'multipart/form-data; boundary="{boundary}"'
    connection = http.client.HTTPConnection(parts.hostname, parts.port)
    connection.request("POST", parts.path, body=b"".join(body) if whole else body, headers=headers, encode_chunked=not whole)
    answer = connection.getresponse()
    return [answer.status, [each.get("status", each.get("problem", {}).get("status")) for each in json.load(answer)["files"]]]


def main(url, path, module=None):
    if module is None:
        files = [("python/whole.bin", path), ("python/übung.bin", path)]
        answers = {
            "whole": post(url, files, True),
            "chunked": post(url, files, False),
            "refused": post(url, files + [("new.bin", path)], False, **{"If-None-Match": "*"}),
        }
    else:
        import requests

        def send(*names):
            answer = requests.post(url, files=[("file", (name, open(path, "rb"))) for name in names])
            return [answer.status_code, [each["path"] for each in answer.json()["files"]]]

        answers = {"one": send("requests.bin"), "two": send("sub/模型.bin", "b.bin"), "refused": send("../b.bin")[0]}
    json.dump(answers, sys.stdout)


main(*sys.argv[1:])
