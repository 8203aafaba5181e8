"""Say what this machine offers; or do, in a child, what `inside` asks for."""

import json
import sys
from importlib import import_module

from parallel_ai.many_machines.clusters import choose, forbidden


def _do(call: str) -> str:
    function, *arguments = json.loads(call)
    module, _, name = function.partition(":")
    return json.dumps(getattr(import_module(module), name)(*arguments))


if len(sys.argv) > 1:
    print(_do(sys.argv[1]))
else:
    print("A program that calls connect() here gets", choose())
    print("Hosts in network namespaces:", forbidden() or "possible")
