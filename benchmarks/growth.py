"""How the cost of a step grows with group size, prompts, header and completion length, beside the floor.

python benchmarks/growth.py            # some minutes on one core
python benchmarks/growth.py --quick    # the first two points of each, on a smaller model
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from typing import Any

from common import (
    SIZES,
    Shape,
    clocked,
    keep_freed_memory,
    machine,
    median,
    random_subject,
    run_cell,
    save,
    set_up_process,
    unique_tokens,
)
from step import Floor, candor_step

BASE = Shape(prompts=16)
POINTS: dict[str, list[tuple[int, Shape]]] = {
    "group size": [(n, replace(BASE, group_size=n)) for n in (2, 4, 8, 16, 32, 64)],
    "prompts": [(n, replace(BASE, prompts=n)) for n in (8, 16, 32, 64, 128)],
    "header": [(n, replace(BASE, header=n)) for n in (50, 100, 280, 500, 1000)],
    "completion": [(n, replace(BASE, prompts=8, completion=n)) for n in (8, 16, 32, 64, 128, 256)],
}


def cell(args: argparse.Namespace) -> dict[str, Any]:
    """Every point of one axis, for one kind of completions; each measured some times, and the median taken."""
    set_up_process()
    keep_freed_memory()
    rows = []
    points = POINTS[args.axis][: 2 if args.quick else None]
    subjects = {value: random_subject(args.size, shape, trained=args.trained) for value, shape in points}
    first = subjects[points[0][0]]
    engine, floor = first.engine(), Floor(first)
    candor_step(engine, first.prompts(0), first.shape, first.probe, 0)
    for value, shape in points:
        clocks: dict[str, list[float]] = {}
        for repeat in range(args.repeats):
            prompts = subjects[value].prompts(repeat)
            with clocked(clocks, "candor"):
                completions = candor_step(engine, prompts, shape, first.probe, repeat)
            with clocked(clocks, "floor"):
                floor.step(prompts, completions, shape)
        total = sum(shape.group_size * len(prompt) for prompt in prompts)
        total += sum(len(completion) for group in completions for completion in group)
        rows.append(
            {
                "value": value,
                "candor": median(clocks["candor"]),
                "floor": median(clocks["floor"]),
                "unique_tokens": unique_tokens(prompts, completions)[0],
                "all_tokens": total,
            }
        )
    return {"rows": rows}


def main() -> None:
    """Run every axis in a process of its own, print the tables, keep the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two points of each axis; keeps nothing")
    parser.add_argument("--size", choices=list(SIZES), help="default: medium, or tiny with --quick")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cell", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--axis", choices=list(POINTS), help=argparse.SUPPRESS)
    parser.add_argument("--trained", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.size = args.size or ("tiny" if args.quick else "medium")
    if args.cell:
        print(json.dumps(cell(args)))
        return
    result: dict[str, Any] = {}
    for axis in POINTS:
        for trained in (False, True) if axis == "group size" else (False,):
            flags = (["--trained"] if trained else []) + (["--quick"] if args.quick else [])
            common = ["--size", args.size, "--repeats", str(args.repeats)]
            rows = run_cell(__file__, "--cell", "--axis", axis, *common, *flags)["rows"]
            name = f"{axis}, trained policy's completions" if trained else f"{axis}, completions all different"
            result[name] = rows
            print(name)
            for row in rows:
                print(
                    f"  {row['value']:5d}  candor {row['candor']:7.3f} s  floor {row['floor']:7.3f} s  "
                    f"unique tokens {row['unique_tokens']:7d} of {row['all_tokens']:8d}",
                    flush=True,
                )
    if not args.quick:
        save(f"growth_{args.size}", {"machine": machine(), "axes": result})


if __name__ == "__main__":
    main()
