// The phases of a reload: their order, names, and a bar of how long each took.

import { attribute, el } from "./dom.js";
import { duration, words } from "./format.js";

export const PHASES = ["preparing", "checking", "canaries", "rolling", "rolling_back"];

// Of a record's phases, those that took any time: [name, usec].
export const phases_of = (record) => PHASES.map((name) => [name, record?.phases?.[name] ?? 0]).filter(([, usec]) => usec > 0);

export const phase_text = ([name, usec]) => `${words(name)} ${duration(usec)}`;

export function phase_bar() {
    return el("span", { class: "phase-bar", role: "img" }, ...PHASES.map((name) => el("span", { class: `phase phase-${name}` })));
}

export function update_phase_bar(bar, record) {
    const phases = phases_of(record), all = phases.reduce((sum, [, usec]) => sum + usec, 0), shares = new Map(phases);
    PHASES.forEach((name, i) => {
        bar.children[i].style.flexGrow = String(all ? (shares.get(name) ?? 0) / all : 0);
    });
    const label = phases.map(phase_text).join(", ");
    attribute(bar, "aria-label", label);
    attribute(bar, "title", label);
}
