"""Downloads a URL with nothing but the standard library, breaks off and resumes, and prints what came as JSON.

Usage: resume_download.py URL CUT
"""

import email
import hashlib
import http.client
import json
import sys
import urllib.parse
import urllib.request

CHUNK = 1 << 16


def chunks_of(response):
    while chunk := response.read(CHUNK):
        yield chunk


def digest(chunks):
    sha256 = hashlib.sha256()
    for chunk in chunks:
        sha256.update(chunk)
    return sha256.hexdigest()


def get(url, headers):
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port)
    connection.request("GET", urllib.parse.urlunsplit(("", "") + parts[2:]), headers=headers)
    return connection, connection.getresponse()


def resume(url, cut):
    """Reads `cut` bytes, hangs up, and asks for the rest of the same content on another connection."""
    connection, response = get(url, {})
    etag = response.headers["ETag"]
    beginning = response.read(cut)
    connection.close()

    connection, response = get(url, {"Range": f"bytes={cut}-", "If-Range": etag})
    answer = [response.status, response.headers["Content-Range"], response.headers["ETag"] == etag]
    whole = digest(chunk for part in ([beginning], chunks_of(response)) for chunk in part)
    connection.close()
    return answer, whole


def several_ranges(url, ranges):
    """The parts of a multipart/byteranges answer, as the email package reads them."""
    _, response = get(url, {"Range": "bytes=" + ",".join(f"{a}-{b}" for a, b in ranges)})
    head = f"Content-Type: {response.headers['Content-Type']}\r\n\r\n".encode()
    message = email.message_from_bytes(head + response.read())
    return [[part["Content-Range"], part.get_payload(decode=True).hex()] for part in message.get_payload()]


def main(url, cut):
    with urllib.request.urlopen(url) as response:
        size = int(response.headers["Content-Length"])
        whole = digest(chunks_of(response))
    answer, resumed = resume(url, int(cut))
    connection, other = get(url, {"Range": "bytes=10-", "If-Range": '"of other content"'})
    restarted = [other.status, digest(chunks_of(other))]
    connection.close()
    json.dump(
        {
            "size": size,
            "whole": whole,
            "answer": answer,
            "resumed": resumed,
            "restarted": restarted,
            "parts": several_ranges(url, [(0, 9), (500, 519)]),
        },
        sys.stdout,
    )


main(*sys.argv[1:])
