"""Reads thousands of damaged inputs of every kind and writes how many were refused, read rightly, or neither.

`python -m tests.fuzz [--inputs 3000] [--seed 0] [--output results/trust/inputs.md]`; ends with status 1 on a finding.
"""

import argparse
import pathlib
import sys
import tempfile

from ocm_tf.files import write_atomically
from tests.fuzz.data_targets import data_targets
from tests.fuzz.judging import ACCEPTED, OTHER, REFUSED, survey
from tests.fuzz.model_targets import heavy_targets
from tests.fuzz.run_targets import run_targets

_HEAD = """\
# Damaged, wrong and hostile inputs

Written by `{command}`: {total:,} inputs, made by seeded damage to a whole example of each kind: truncated, lengthened,
bits flipped, ranges overwritten, blanked, removed or repeated, numbers in headers made huge, values of JSON, CSV, YAML
and arrays replaced by others of the wrong kind, size, sign or range. *Refused*: one line that says what is wrong with
which file. *Accepted*: what was read is what the file says (where the format has a checksum: exactly what it said
before). *Other*: another exception, a hang, memory beyond the limit, a file written elsewhere, or a wrong reading.

| kind of input | tried | refused | accepted | other |
|---|---:|---:|---:|---:|
"""


def main(argv=None):
    """Writes the table; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=3000, help="inputs of the cheapest kinds (default: 3000)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the damage (default: 0)")
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("results/trust/inputs.md"))
    arguments = parser.parse_args(argv)
    rows, total, all_findings = [], 0, []
    for target in [*data_targets(), *run_targets(), *heavy_targets()]:
        num_inputs = max(1, arguments.inputs // target.cost)
        with tempfile.TemporaryDirectory() as folder:
            counts, findings = survey(target, pathlib.Path(folder), num_inputs, arguments.seed)
        cells = [target.kind, *(f"{number:,}" for number in (num_inputs, *map(counts.get, _VERDICTS, [0] * 3)))]
        rows.append(f"| {' | '.join(cells)} |\n")
        print(rows[-1], end="", flush=True)
        total += num_inputs
        all_findings += findings
    for finding in all_findings:
        print(finding, file=sys.stderr)
    command = f"python -m tests.fuzz --inputs {arguments.inputs} --seed {arguments.seed}"
    text = _HEAD.format(command=command, total=total) + "".join(rows)
    write_atomically(arguments.output, lambda path: path.write_text(text, encoding="utf-8"))
    return 1 if all_findings else 0


_VERDICTS = (REFUSED, ACCEPTED, OTHER)

if __name__ == "__main__":
    sys.exit(main())
