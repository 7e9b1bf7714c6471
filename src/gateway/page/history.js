// How the last reloads ended, the newest first.

import { get } from "./api.js";
import { $, attribute, el, keyed, show, text } from "./dom.js";
import { ago, cause_text, count, date_and_time, duration, plain, words } from "./format.js";
import { phase_bar, phase_text, phases_of, update_phase_bar } from "./phases.js";
import { chip, set_chip } from "./states.js";

const SHORT = 8;
const KINDS = { read: "configuration read", current: "configuration as it was", restart: "restart", scale: "scale", undo: "undo" };
let records = [], all_shown = false;

export const record_of = (id) => records.findLast((record) => record.id === id);

function asked_text(asked) {
    if (typeof asked === "string")
        return asked;
    const names = Array.isArray(asked) ? asked : (asked?.programs ?? []);
    return `${asked?.changed ? "changed and " : ""}${names.join(", ")}`;
}

function make_entry() {
    const parts = { id: el("span", { class: "id" }), state: chip(), what: el("span", { class: "what" }), when: el("span", { class: "when" }), took: el("span", { class: "took" }), bar: phase_bar() };
    const body = el("div", { class: "entry-body" });
    return Object.assign(el("details", { class: "entry" }, el("summary", {}, ...Object.values(parts)), body), { parts, body });
}

function program_line(program) {
    const slots = program.slots.filter((slot) => slot.reason);
    const reasons = [...new Set([program.reason, ...slots.map((slot) => slot.reason)].filter(Boolean))];
    return el("li", {}, el("strong", {}, program.name), ` ${words(program.result)}, generation ${program.generation}, ${count(program.workers, "worker")}${reasons.length ? `: ${plain(reasons.join("; "))}` : ""}`);
}

function fill_body(body, record) {
    const touched = record.programs.filter((program) => program.result !== "untouched"), rest = record.programs.length - touched.length;
    body.replaceChildren(
        el("p", {}, `${date_and_time(record.began_usec)}, asked by ${cause_text(record.cause)}${record.also ? `, and ${record.also} more before it began` : ""}: ${KINDS[record.kind] ?? record.kind}, ${asked_text(record.asked)}.`),
        el("ul", { class: "phase-list" }, ...phases_of(record).map((phase) => el("li", {}, el("span", { class: `dot phase-${phase[0]}` }), phase_text(phase)))),
        el("ul", {}, ...touched.map(program_line), rest ? el("li", { class: "muted" }, `${count(rest, "program")} untouched`) : null));
}

function update_entry(node, record) {
    const { parts } = node;
    text(parts.id, `#${record.id}`);
    set_chip(parts.state, record.result);
    text(parts.what, record.reason ? plain(record.reason) : `${KINDS[record.kind] ?? record.kind}, ${asked_text(record.asked)}`);
    attribute(parts.what, "title", parts.what.textContent);
    text(parts.when, ago(record.began_usec));
    attribute(parts.when, "title", date_and_time(record.began_usec));
    text(parts.took, duration(record.duration_usec));
    update_phase_bar(parts.bar, record);
    if (!node.body.firstChild)
        fill_body(node.body, record);
}

export function update_history() {
    const newest = records.slice().reverse();
    if (newest.length)
        keyed($("history-list"), all_shown ? newest : newest.slice(0, SHORT), (record) => `${record.id} ${record.began_usec}`, make_entry, update_entry);
    text($("history-count"), records.length || "");
    show($("history-more"), newest.length > SHORT);
    text($("history-more"), all_shown ? `Show ${SHORT}` : `Show all ${newest.length}`);
}

export async function fetch_history() {
    records = (await get("/v1/history")).reloads;
    update_history();
}

export function start_history() {
    $("history-more").addEventListener("click", () => {
        all_shown = !all_shown;
        update_history();
    });
}
