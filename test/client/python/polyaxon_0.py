"""Calls methods of polyaxon-client 0.6, as lines of JSON say, and answers each line with what came of the call.

A line: {"entity": "job" or "experiment", "method": NAME, "arguments": [...], "named": {...}, "folder": where}
An answer: {"returned": ...} or {"raised": NAME OF CLASS, "said": TEXT}.
"""

import json
import os
import sys

from polyaxon_client.client import PolyaxonClient


def shown(returned):
    return returned.content.decode() if hasattr(returned, "content") else returned


def answer(question):
    os.chdir(question["folder"])
    try:
        api = getattr(PolyaxonClient(), question["entity"])
        return {"returned": shown(getattr(api, question["method"])(*question["arguments"], **question["named"]))}
    except Exception as error:
        return {"raised": type(error).__name__, "said": str(error)}


def main():
    # What the client prints must not come between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), file=answers, flush=True)


main()
