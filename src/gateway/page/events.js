// Events in words, as reloaderctl tells them.

import { $, el } from "./dom.js";
import { clock, date_and_time, plain, words } from "./format.js";
import { Lines } from "./lines.js";
import { tone_of } from "./states.js";

const LINES_MOST = 500, TEXT_MOST = 2000;
let lines;

const target = ({ program, slot, result, reason }) => `${program}${slot === undefined ? "" : `:${slot}`}${result ? ` ${words(result)}` : ""}${reason ? ` (${reason})` : ""}`;

const TEXTS = {
    worker({ name, program, slot, old, new: state, health, pid, generation }) {
        const came = !old || old === "NONE", who = name ?? `${program}:${slot}`;
        return `${who}: ${health ?? `${came ? "" : `${words(old)} → `}${words(state)}`}${pid ? `, pid ${pid}` : ""}${generation ? `, generation ${generation}` : ""}`;
    },
    rollout: ({ program, step, ready, workers }) => `${program}: ${words(step)}, ${ready} of ${workers} ready`,
    reload: ({ id, state, result }) => `${id} ${words(state)}${result ? `: ${words(result)}` : ""}`,
    job: ({ id, verb, state, target: one, targets, results }) =>
        one ? `${id} ${verb}: ${target(one)}` : `${id} ${verb}${targets?.length ? ` of ${targets.map(target).join(" ")}` : ""} ${state}${results?.length && !targets ? `: ${results.map(target).join(", ")}` : ""}`,
    message: ({ name, value }) => `${name}: ${value === undefined ? "too large to be shown" : JSON.stringify(value)}`,
    socket: ({ name, state, address }) => `${name} ${words(state)}${address ? ` on ${address}` : ""}`,
    master: ({ state }) => words(state),
};

function event_text(event) {
    const rest = Object.fromEntries(Object.entries(event).filter(([name]) => !["type", "time_usec"].includes(name)));
    const told = TEXTS[event.type]?.(event) ?? JSON.stringify(rest);
    return plain(`${told}${TEXTS[event.type] && event.reason ? ` (${event.reason})` : ""}`).slice(0, TEXT_MOST);
}

function tone(event) {
    if (event.crashed)
        return "bad";
    const state = event.type === "worker" ? event.new : event.type === "reload" ? (event.result ?? event.state) : event.type === "rollout" ? event.step : null;
    return state ? tone_of(state) : "idle";
}

const is_shown = (type) => ["", type].includes($("events-of").value);

export function add_event(event) {
    const node = el("div", { class: `line tone-${tone(event)}` }, el("span", { class: "time", title: date_and_time(event.time_usec) }, clock(event.time_usec)), el("span", { class: "from" }, event.type), el("span", { class: "printed" }, event_text(event)));
    node.dataset.type = event.type;
    node.hidden = !is_shown(event.type);
    lines.add(node);
}

export function add_remark(remark) {
    lines.add(el("div", { class: "line remark" }, remark));
}

export function start_events() {
    lines = new Lines("event-lines", LINES_MOST);
    $("events-of").addEventListener("change", () => {
        for (const node of lines.box.children)
            node.hidden = Boolean(node.dataset.type) && !is_shown(node.dataset.type);
        lines.to_end();
    });
}
