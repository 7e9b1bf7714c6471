#!/usr/bin/python3
"""Breaks rollout.c on purpose, one place at a time, and sees that the tests find each break.

usage: mutate-rollout.py [CC]      (not part of ./test: each break is compiled)
Exits with 1 if a break was not found, or if a line to break is not there any more.
"""
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
TESTS = {
    "explore": ["tests/unit/test-rollout-explore.c", "tests/unit/rollout-model.c"],
    "examples": ["tests/unit/test-rollout.c"],
}
BREAKS = [
    ("slot < view->workers;", "slot <= view->workers;"),
    ("view->phase == ROLLOUT_ROLLING || view->phase == ROLLOUT_ROLLING_BACK;", "view->phase == ROLLOUT_ROLLING;"),
    ("view->phase == ROLLOUT_ROLLING ? ROLLOUT_TARGET : ROLLOUT_COMMITTED;", "ROLLOUT_TARGET;"),
    ("view->canary ? 1U : 0U", "0U"),
    ("MAX(view->canary ? 1U : 0U, kept)", "(view->canary ? 1U : 0U)"),
    ("view->workers - MIN(view->workers, view->max_unavailable)", "view->workers - view->max_unavailable"),
    ("*ready += slot->successor.presence == ROLLOUT_READY;", ";"),
    ("is_wanted(view, i) ? &plan.ready : &plan.ready_surplus", "&plan.ready"),
    ("if (!plan->view->failed)", "if (true)"),
    ("(void)add(plan, ROLLOUT_FAIL, 0);", "(void)add(plan, ROLLOUT_COMMIT, 0);"),
    ("(void)add(plan, ROLLOUT_DEGRADED, 0);", "break;"),
    ("slot->successor.generation == ROLLOUT_TARGET && i < view->target_workers;", "i < view->target_workers;"),
    ("slot->successor.generation == wished_generation(view) &&\n               is_outdated(view, &slot->current);",
     "is_outdated(view, &slot->current);"),
    ("is_wanted(view, i) && slot->current.presence == ROLLOUT_NONE &&\n        (ready ||",
     "slot->current.presence == ROLLOUT_NONE &&\n        (ready ||"),
    ("(ready || slot->successor.generation == wished_generation(view))", "(ready)"),
    ("(ready || slot->successor.generation == wished_generation(view))",
     "(slot->successor.generation == wished_generation(view))"),
    ("else if (slot->current.presence != ROLLOUT_STARTING)", "else"),
    ("(!is_wanted(view, i) || is_outdated(view, &slot->current)))\n", "(!is_wanted(view, i)))\n"),
    ("(!is_wanted(view, i) || is_outdated(view, &slot->current)))\n", "(is_outdated(view, &slot->current)))\n"),
    ("slot->leaving > 0 &&", "false &&"),
    ("slot->leaving > 0 &&\n                                 plan->ready >= plan->floor;", "slot->leaving > 0;"),
    ("plan->ready >= plan->floor;", "plan->ready > plan->floor;"),
    ("view->order == ROLLOUT_DRAIN_FIRST && slot->leaving", "slot->leaving"),
    ("!slot->backoff && !waits_for_leaving", "!waits_for_leaving"),
    ("return plan->ready > plan->floor;", "return plan->ready >= plan->floor;"),
    ("return plan->ready > plan->floor;", "return true;"),
    ("may_drain(plan) &&\n            add(plan, ROLLOUT_DRAIN_CURRENT, i))",
     "add(plan, ROLLOUT_DRAIN_CURRENT, i))"),
    ("add(plan, ROLLOUT_DRAIN_CURRENT, i))\n            plan->ready--;", "add(plan, ROLLOUT_DRAIN_CURRENT, i))\n            ;"),
    ("    if (plan->successors > 0 || view->crowded)\n        return;", "    ;"),
    ("if (plan->successors > 0 || view->crowded)", "if (view->crowded)"),
    ("if (plan->successors > 0 || view->crowded)", "if (plan->successors > 0)"),
    ("MIN(view->workers, view->target_workers)\n                                       : view->target_workers;",
     "MIN(view->workers, view->target_workers)\n                                       : view->workers;"),
    ("view->own_sockets ? MIN(view->workers, view->target_workers)", "view->own_sockets ? view->workers"),
    ("view->own_sockets ? MIN(view->workers, view->target_workers)", "view->own_sockets ? view->target_workers"),
    ("slot < slots && view->slots[slot].current.presence == ROLLOUT_READY", "false"),
    ("slot < slots ? slot : 0", "slot < slots ? slot : slot - 1"),
    ("view->order == ROLLOUT_READY_FIRST || plan->floor >= view->workers;", "view->order == ROLLOUT_READY_FIRST;"),
    ("view->order == ROLLOUT_READY_FIRST || plan->floor >= view->workers;", "true;"),
    ("slot->successor.presence != ROLLOUT_NONE || slot->backoff)\n            continue;",
     "slot->successor.presence != ROLLOUT_NONE)\n            continue;"),
    ("slot->successor.presence != ROLLOUT_NONE || slot->backoff)", "slot->backoff)"),
    ("if (plan->successors < view->max_surge && !view->crowded &&\n", "if (!view->crowded &&\n"),
    ("if (plan->successors < view->max_surge && !view->crowded &&\n", "if (plan->successors < view->max_surge &&\n"),
    ("                plan->successors++;", "                ;"),
    ("        } else if (may_drain(plan) && add(plan, ROLLOUT_DRAIN_CURRENT, i)) {\n            plan->ready--;",
     "        } else if (may_drain(plan) && add(plan, ROLLOUT_DRAIN_CURRENT, i)) {"),
    ("if (!holds(&view->slots[i].current, ROLLOUT_READY, wished_generation(view)))",
     "if (view->slots[i].current.presence == ROLLOUT_NONE)"),
    ("(is_rolling(view) || plan->ready + plan->ready_surplus > view->workers)", "true"),
    ("(is_rolling(view) || plan->ready + plan->ready_surplus > view->workers)", "is_rolling(view)"),
    ("            plan->ready_surplus--;", "            ;"),
    ("    if (plan->n_actions > 0 || !wanted_slots_are_as_wished(plan->view))", "    if (plan->n_actions > 0)"),
    ("    shrink(plan);\n    if (plan->n_actions == 0", "    if (plan->n_actions == 0"),
    ("    if (plan->n_actions == 0 && plan->ready_surplus == 0)", "    if (plan->n_actions == 0)"),
    (" && !view->slots[i].busy &&", " &&"),
    ("        start_canary(plan);\n", "        shrink(plan);\n        start_canary(plan);\n"),
    ("    change_over(plan);\n    replace(plan);", "    replace(plan);\n    change_over(plan);"),
    ("{judge_failure, clear, fill, decide_phase}", "{clear, judge_failure, fill, decide_phase}"),
    ("{judge_failure, clear, fill, decide_phase}", "{judge_failure, fill, clear, decide_phase}"),
    ("&& plan.n_actions == 0; i++)", "; i++)"),
]


def found_by(source, cc, folder):
    (folder / "rollout.c").write_text(source)
    for name, files in TESTS.items():
        program = folder / name
        subprocess.run([cc, "-std=gnu17", "-D_GNU_SOURCE", "-O2", "-w", f"-I{ROOT}/src", "-o", program, folder / "rollout.c",
                        *[ROOT / file for file in files], "-lcmocka"], check=True)
        for effort in ("quick", "normal") if name == "explore" else ("",):
            if subprocess.run([program], env={**os.environ, "ROLLOUT_EXPLORE": effort}, capture_output=True).returncode != 0:
                return f"{name} {effort}".strip()
    return None


def main():
    cc = sys.argv[1] if len(sys.argv) > 1 else "cc"
    source = (ROOT / "src/program/rollout.c").read_text()
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for number, (old, new) in enumerate(BREAKS):
            if source.count(old) != 1:
                print(f"{number}: {source.count(old)} times in rollout.c: {old!r}")
                failed += 1
                continue
            by = found_by(source.replace(old, new), cc, pathlib.Path(folder))
            print(f"{number}: {'found by ' + by if by else 'NOT FOUND'}: {old.split(chr(10))[0].strip()} -> {new.split(chr(10))[0].strip()}", flush=True)
            failed += by is None
    print(f"{len(BREAKS) - failed} of {len(BREAKS)} breaks found")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
