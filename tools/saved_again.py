"""What transformers makes of the configurations of published models when it saves them again.

    cargo test --workspace --locked --lib -- --ignored configurations_are_written_out   (with RMLX_CONFIGURATIONS=FILE)
    python tools/saved_again.py FILE src/models/published/saved_again.json

The first writes the configurations that the tests have as one JSON object by model; this goes through
`AutoConfig.from_pretrained(folder).save_pretrained(folder)` with each. Needs transformers, and no torch.
"""

import json
import sys
import tempfile
from pathlib import Path

from transformers import AutoConfig, __version__


def saved_again(config):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "config.json")
        file.write_text(json.dumps(config))
        AutoConfig.from_pretrained(folder).save_pretrained(folder)
        return json.loads(file.read_text())


def main(source, target):
    configs = json.loads(Path(source).read_text())
    again = {name: saved_again(config) for name, config in sorted(configs.items())}
    lines = [f"{json.dumps(name)}: {json.dumps(config, sort_keys=True)}" for name, config in again.items()]
    Path(target).write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"{len(again)} configurations by transformers {__version__}")


if __name__ == "__main__":
    main(*sys.argv[1:])
