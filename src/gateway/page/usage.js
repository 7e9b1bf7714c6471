// CPU and memory over time, of each process, each program, and all together.

import { SAMPLES, Series } from "./graph.js";

class Usage {
    constructor() {
        this.cpu = new Series();
        this.mem = new Series();
    }

    add(sample) {
        this.cpu.add(sample?.cpu);
        this.mem.add(sample?.mem);
    }
}

const pids = new Map(), programs = new Map();
export const total = new Usage();

export const of_pid = (pid) => pids.get(pid);
export const of_program = (name) => programs.get(name);

function get(map, key) {
    if (!map.has(key))
        map.set(key, new Usage());
    return map.get(key);
}

function forget_others(map, known) {
    for (const key of map.keys())
        if (!known.has(key))
            map.delete(key);
}

// So many samples were not taken, as when the page was hidden.
export function skip(samples) {
    for (let i = 0; i < Math.min(samples, SAMPLES); i++)
        for (const usage of [...pids.values(), ...programs.values(), total])
            usage.add(undefined);
}

// One sample: `stats` as /stats tells, or null where it was not told. Who is not there any more is forgotten.
export function sample(status, stats) {
    const told = new Map((stats?.workers ?? []).map((worker) => [worker.pid, worker]));
    const seen = new Set(), names = new Set();
    for (const program of status.programs) {
        const sum = { cpu: 0, mem: 0 };
        for (const { pid } of program.slots.flatMap((slot) => slot.workers)) {
            const one = told.get(pid);
            sum.cpu += one?.cpu ?? 0;
            sum.mem += one?.mem ?? 0;
            get(pids, pid).add(one);
            seen.add(pid);
        }
        get(programs, program.name).add(stats ? sum : undefined);
        names.add(program.name);
    }
    forget_others(pids, seen);
    forget_others(programs, names);
    total.add(stats?.total);
}
