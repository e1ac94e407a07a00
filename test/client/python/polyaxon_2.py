"""Calls methods of polyaxon's RunClient, as lines of JSON say, and answers each line with what came of the calls.

A line: {"calls": [{"run": UUID, "method": NAME, "arguments": {...}}, ...], "awaited": whether by AsyncRunClient, "folder": where}
The calls of one line are made at once. An answer: a list of {"returned": ...} and {"raised": NAME OF CLASS, "said": TEXT}.
"""

import asyncio
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor

from polyaxon.client import AsyncRunClient, RunClient, V1RunArtifact

OWNER, PROJECT = "ann", "mnist"


def prepared(arguments):
    if "lineage" in arguments:
        return arguments | {"lineage": V1RunArtifact(**arguments["lineage"])}
    return arguments


def shown(returned):
    if hasattr(returned, "to_dict"):
        return json.loads(json.dumps(returned.to_dict(), default=str))
    if hasattr(returned, "status_code"):
        return {"status": returned.status_code, "text": returned.text}
    return returned if returned is None or isinstance(returned, str) else repr(returned)


def failure(error):
    return {"raised": type(error).__name__, "said": str(error)}


def call(run, method, arguments):
    try:
        client = RunClient(owner=OWNER, project=PROJECT, run_uuid=run, manual_exceptions_handling=True)
        return {"returned": shown(getattr(client, method)(**prepared(arguments)))}
    except Exception as error:
        return failure(error)


async def awaited(run, method, arguments):
    try:
        async with AsyncRunClient(owner=OWNER, project=PROJECT, run_uuid=run, manual_exceptions_handling=True) as client:
            return {"returned": shown(await getattr(client, method)(**prepared(arguments)))}
    except Exception as error:
        return failure(error)


async def all_awaited(calls):
    return await asyncio.gather(*(awaited(**each) for each in calls))


def main():
    # What the client prints must not come between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        question = json.loads(line)
        calls = question["calls"]
        os.chdir(question["folder"])
        if question["awaited"]:
            results = asyncio.run(all_awaited(calls))
        else:
            with ThreadPoolExecutor(len(calls)) as pool:
                results = list(pool.map(lambda each: call(**each), calls))
        print(json.dumps(results), file=answers, flush=True)


main()
