"""Uploads a file with the standard library, and by `requests` where it is asked for, and prints what was answered as JSON.

Usage: upload.py URL FILE [requests]
"""

import base64
import hashlib
import http.client
import json
import sys
import urllib.error
import urllib.parse
import urllib.request


def pieces(path):
    with open(path, "rb") as file:
        while piece := file.read(100_000):
            yield piece


def by_urllib(url, data, **headers):
    request = urllib.request.Request(url, data=data, method="PUT", headers=headers)
    try:
        with urllib.request.urlopen(request) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return [error.code, json.load(error)["status"]]


def in_chunks(url, path):
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port)
    connection.request("PUT", parts.path, body=pieces(path), encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
    return connection.getresponse().status


def main(url, path, module=None):
    with open(path, "rb") as file:
        content = file.read()
    digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
    if module is None:
        answers = {
            "whole": by_urllib(url, content, **{"Content-Digest": f"sha-256=:{digest}:"}),
            "chunked": in_chunks(url, path),
            "refused": by_urllib(url, content, **{"If-None-Match": "*"}),
            "damaged": by_urllib(url, content[:-1] + b"x", **{"Content-Digest": f"sha-256=:{digest}:"}),
        }
    else:
        import requests

        with open(path, "rb") as file:
            streamed = requests.put(url, data=file)
        answers = {
            "streamed": [streamed.status_code, streamed.headers["ETag"] == requests.head(url).headers["ETag"]],
            "chunked": requests.put(url, data=pieces(path)).status_code,
            "refused": requests.put(url, data=pieces(path), headers={"If-None-Match": "*"}).status_code,
            "deleted": requests.delete(url).status_code,
        }
    json.dump(answers, sys.stdout)


main(*sys.argv[1:])
