// The reload that runs, or the last one: its phases and, slot by slot, how far it is.

import { $, attribute, el, fill, keyed, show, text } from "./dom.js";
import { ago, cause_text, count, date_and_time, duration, long_duration, plain, server_now, words } from "./format.js";
import { record_of } from "./history.js";
import { PHASES, phase_bar, phases_of, update_phase_bar } from "./phases.js";
import { chip, set_chip, tone_of } from "./states.js";

const state_chip = chip(), past_bar = phase_bar();
let running = null; // {id, plan, began_usec, phases: a Map of when they began}

// Each phase begins once; whether an event or the status tells it first does not matter.
function enter(phase, time_usec) {
    if (PHASES.includes(phase))
        running.phases.set(phase, Math.min(time_usec, running.phases.get(phase) ?? time_usec));
}

function follow(id, time_usec) {
    if (running?.id !== id)
        running = { id, plan: null, began_usec: time_usec, phases: new Map() };
}

export function on_reload_event(event) {
    if (event.state === "ended") {
        running = null;
        return;
    }
    follow(event.id, event.time_usec);
    running.began_usec = Math.min(running.began_usec, event.time_usec);
    running.plan = event.plan ?? running.plan;
    enter(event.state, event.time_usec);
}

// Which programs take part, as far as is known: of one that began before this page was opened only what is to be seen of it.
function parts_of(status) {
    const rolled = running?.plan?.programs?.filter((program) => ["roll", "start"].includes(program.action)).map((program) => program.name);
    return status.programs.filter((program) => rolled?.includes(program.name) || ["RELOADING", "ROLLING_BACK"].includes(program.state) || (!rolled && count_new(program) > 0));
}

function count_new(program) {
    return program.slots.filter((slot) => slot.workers.some((worker) => worker.state === "READY" && worker.generation > program.generation)).length;
}

function show_bar(now, most, tone, label) {
    const bar = $("reload-bar");
    attribute(bar, "aria-valuenow", now);
    attribute(bar, "aria-valuemax", most);
    attribute(bar, "aria-valuetext", label);
    attribute(bar, "class", `bar tone-${tone}`);
    fill(bar.firstChild, most ? now / most : 0);
}

function show_phases(phases, current) {
    keyed($("reload-phases"), phases, ([name]) => name, ([name]) => el("li", {}, el("span", { class: `dot phase-${name}` }), el("span", { class: "name" }, words(name)), el("span", { class: "value" })), (node, [name, usec]) => {
        text(node.lastChild, duration(usec));
        attribute(node, "class", name === current ? "current" : null);
        attribute(node, "aria-current", name === current ? "step" : null);
    });
}

// How long each lasted, or has lasted until now.
function running_phases(now) {
    const begun = PHASES.filter((name) => running.phases.has(name)).map((name) => [name, running.phases.get(name)]);
    return begun.map(([name, from], i) => [name, Math.max(0, (begun[i + 1]?.[1] ?? now) - from)]);
}

function show_running(status) {
    const { reload } = status, now = server_now() * 1000;
    follow(reload.id, now);
    enter(reload.state, now);
    const parts = parts_of(status), all = parts.reduce((sum, program) => sum + program.workers, 0), done = parts.reduce((sum, program) => sum + Math.min(program.workers, count_new(program)), 0);
    set_chip(state_chip, reload.state);
    text($("reload-when"), `for ${long_duration((now - running.began_usec) / 1e6)}`);
    text($("reload-by"), `${done} of ${count(all, "slot")} on the new generation`);
    show_bar(done, all, reload.state === "rolling_back" ? "warn" : "busy", `${done} of ${all}`);
    show_phases(running_phases(now), reload.state);
}

function show_ended(reload) {
    const record = record_of(reload.id);
    set_chip(state_chip, reload.result);
    text($("reload-when"), record ? `${duration(record.duration_usec)}, ${ago(record.began_usec + record.duration_usec)}` : "");
    attribute($("reload-when"), "title", record ? `It began ${date_and_time(record.began_usec)}` : null);
    text($("reload-by"), record ? `by ${cause_text(record.cause)}` : "");
    update_phase_bar(past_bar, record);
    show_phases(phases_of(record), null);
}

export function update_reload(status) {
    const { reload } = status, is_running = Boolean(reload?.id) && !reload.result;
    attribute($("reload"), "class", `card reload${is_running ? " running" : ""}`);
    attribute($("do-reload"), "aria-busy", is_running ? "true" : null);
    show(state_chip, Boolean(reload?.id));
    show($("reload-bar"), is_running);
    show(past_bar, !is_running);
    if (!reload?.id) {
        text($("reload-title"), "No reload yet");
        show($("reload-bar"), false);
        return;
    }
    text($("reload-title"), `Reload ${reload.id}`);
    if (is_running)
        show_running(status);
    else
        show_ended(reload);
    text($("reload-reason"), plain(reload.reason ?? ""));
    attribute($("reload-reason"), "class", `reason tone-${tone_of(reload.result ?? reload.state)}`);
    show($("reload-reason"), reload.reason);
}

export function start_reload() {
    $("reload-state").replaceWith(state_chip);
    $("reload-bar").before(past_bar);
}
