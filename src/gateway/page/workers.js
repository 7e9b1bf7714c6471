// The table of a program: a row for each slot. Workers that come or leave beside the one that serves are told within it, so that no row moves.

import { act } from "./actions.js";
import { attribute, el, icon, keyed, change_icon, show, text } from "./dom.js";
import { age, count, date_and_time, long_duration, megabytes, percent, plain, server_now, words } from "./format.js";
import { draw, graph, scale_of } from "./graph.js";
import { chip, is_as_wished, is_stopped, is_unhealthy, set_chip } from "./states.js";
import * as usage from "./usage.js";

const COLUMNS = [
    ["State", "c-state"],
    ["Worker", "c-name"],
    ["Pid", "c-pid num"],
    ["Gen.", "c-gen num", "Generation"],
    ["Since", "c-since num"],
    ["Rest.", "c-restarts num", "Restarts"],
    ["CPU", "c-cpu"],
    ["Memory", "c-mem"],
    ["Says", "c-text"],
    ["Actions", "c-act"],
];

const left_text = (worker) => (worker.left_usec === undefined ? [] : [`${long_duration(Math.max(0, worker.until - Date.now()) / 1000)} left`]);

function worker_text(worker) {
    const parts = [];
    if (is_unhealthy(worker))
        parts.push(`unhealthy: ${plain(worker.health.text ?? "no reason given")}`);
    if (worker.state !== "READY" && worker.reason)
        parts.push(plain(worker.reason));
    parts.push(...left_text(worker));
    if (worker.text)
        parts.push(plain(worker.text));
    return parts.join(" · ");
}

function slot_text(slot) {
    const parts = slot.reason ? [plain(slot.reason)] : [];
    if (slot.restarts)
        parts.push(count(slot.restarts, "restart"));
    if (slot.retry_usec)
        parts.push(`next try in ${long_duration(Math.max(0, slot.retry_usec / 1000 - server_now()) / 1000)}`);
    return parts.join(" · ");
}

// The one that serves: the newest that is ready, else the first, which is the current one. NULL: none.
function main_of(slot) {
    const ready = slot.workers.filter((worker) => worker.state === "READY");
    return ready.reduce((best, worker) => (best && best.generation >= worker.generation ? best : worker), null) ?? slot.workers[0] ?? null;
}

const is_leaving = (worker) => ["DRAINING", "STOPPING"].includes(worker.state);

const is_trouble = (slot) => ["BACKOFF", "FATAL"].includes(slot.state) || slot.workers.some(is_unhealthy);

function button(className, id) {
    return el("button", { type: "button", class: `small ${className}` }, icon(id));
}

function graph_cell(className) {
    const picture = graph(className), value = el("span", { class: "value" });
    return Object.assign(el("td", { class: `c-${className} graphed`, role: "cell" }, picture, value), { picture, value });
}

function make_row() {
    const cell = (name) => el("td", { class: name, role: "cell" });
    const state = chip(), restart = button("restart", "i-restart"), stop = button("stop", "i-stop"), why = el("button", { type: "button", class: "small why" }, "why?");
    const parts = { name: cell("c-name"), pid: cell("c-pid num"), gen: cell("c-gen num"), since: cell("c-since num"), restarts: cell("c-restarts num"), cpu: graph_cell("cpu"), mem: graph_cell("mem"), text: cell("c-text"), act: cell("c-act") };
    const said = el("span", { class: "said" }), others = el("span", { class: "others" });
    parts.text.append(why, others, said);
    parts.act.append(restart, stop);
    const row = el("tr", { role: "row" }, el("td", { class: "c-state", role: "cell" }, state), ...Object.values(parts));
    Object.assign(row, { state, parts, said, others, restart, stop, why });
    restart.addEventListener("click", () => act.restart_slot(row.at.program, row.at.slot));
    stop.addEventListener("click", () => (row.is_stopped ? act.start_slot : act.stop_slot)(row.at.program, row.at.slot));
    why.addEventListener("click", () => act.why(row.at.program, row.at.slot));
    return row;
}

function update_graph(cell, series, scale, value_text, what) {
    text(cell.value, series ? value_text(series.last) : "");
    attribute(cell.picture, "visibility", series ? null : "hidden");
    if (series)
        draw(cell.picture, series, scale, `${what} ${value_text(series.last)}, at most ${value_text(series.most)} in two minutes; the graph ends at ${value_text(scale)}`);
}

function update_buttons(row, slot) {
    row.is_stopped = is_stopped(slot);
    const name = slot.name ?? `slot ${slot.slot}`, verb = row.is_stopped ? "Start" : "Stop";
    attribute(row.restart, "aria-label", `Restart ${name}`);
    attribute(row.restart, "title", `Restart ${name}`);
    attribute(row.stop, "aria-label", `${verb} ${name}`);
    attribute(row.stop, "title", `${verb} ${name}`);
    attribute(row.stop, "class", `small ${verb.toLowerCase()}`);
    change_icon(row.stop.firstChild, row.is_stopped ? "i-start" : "i-stop");
    attribute(row.why, "aria-label", `Why is a worker of ${name} still here?`);
}

// Those beside the one that serves.
function update_others(row, others) {
    keyed(row.others, others, (worker) => worker.pid, () => chip("chip other"), (node, worker) => {
        set_chip(node, worker.state, `${worker.pid} ${[words(worker.state), ...left_text(worker)].join(", ")} `);
        attribute(node, "title", `pid ${worker.pid}, generation ${worker.generation}${worker.reason ? `: ${plain(worker.reason)}` : ""}${worker.text ? ` · ${plain(worker.text)}` : ""}`);
    });
}

function update_numbers(parts, program, slot, worker) {
    text(parts.pid, worker?.pid ?? "");
    text(parts.gen, worker ? `${worker.mixed ? "mixed " : ""}${worker.generation}` : "");
    attribute(parts.gen, "title", worker?.mixed ? "Made of something else than its generation began with" : null);
    text(parts.since, worker ? age(worker.since_usec) : "");
    attribute(parts.since, "title", worker ? `since ${date_and_time(worker.since_usec)}` : null);
    text(parts.restarts, slot.restarts);
    attribute(parts.restarts, "class", `c-restarts num${slot.restarts ? "" : " zero"}`);
}

function update_row(row, program, slot, scales) {
    const { parts } = row, worker = main_of(slot), state = worker?.state ?? slot.state;
    row.at = { program, slot };
    set_chip(row.state, worker && is_unhealthy(worker) && state === "READY" ? "UNHEALTHY" : state);
    attribute(row, "class", [worker && worker.generation > program.generation ? "newer" : "", is_as_wished(state) ? "" : "notable", is_trouble(slot) ? "trouble" : ""].join(" ").trim());
    const name = slot.name ?? `${program.name}:${slot.slot}`;
    text(parts.name, name);
    attribute(parts.name, "title", name);
    update_numbers(parts, program, slot, worker);
    const used = worker && usage.of_pid(worker.pid);
    update_graph(parts.cpu, used?.cpu, scales.cpu, percent, "CPU");
    update_graph(parts.mem, used?.mem, scales.mem, megabytes, "Memory");
    // The words of a slot without a worker take the place of the numbers that it has not.
    [parts.pid, parts.gen, parts.since, parts.restarts, parts.cpu, parts.mem].forEach((cell) => show(cell, worker));
    parts.text.colSpan = worker ? 1 : 7;
    const said = worker ? worker_text(worker) : slot_text(slot);
    text(row.said, said);
    attribute(row.said, "title", said.length > 20 ? said : null);
    update_others(row, slot.workers.filter((other) => other !== worker));
    show(row.why, slot.workers.some(is_leaving));
    update_buttons(row, slot);
}

// Up and down go to the same button of the row above and below.
function walk(event) {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key], at = event.target.closest("button")?.closest("tr");
    if (!step || !at)
        return;
    const kind = ["restart", "why"].find((name) => event.target.closest("button").classList.contains(name)) ?? "stop";
    for (let row = at; (row = step < 0 ? row.previousElementSibling : row.nextElementSibling);)
        if (!row[kind].hidden) {
            row[kind].focus();
            break;
        }
    event.preventDefault();
}

export function make_table(label) {
    const heads = COLUMNS.map(([name, className, title]) => el("th", { class: className, scope: "col", role: "columnheader", title }, name === "Actions" ? el("span", { class: "hidden" }, name) : name));
    const scales = [el("span", { class: "scale" }), el("span", { class: "scale" })];
    heads[6].append(" ", scales[0]);
    heads[7].append(" ", scales[1]);
    const body = el("tbody", { role: "rowgroup", onkeydown: walk });
    const table = el("table", { class: "workers", role: "table", "aria-label": label }, el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, ...heads)), body);
    return Object.assign(table, { body, scales });
}

// Folded: only those that there is trouble with.
export function update_table(table, program, folded) {
    const slots = folded ? program.slots.filter(is_trouble) : program.slots;
    const used = program.slots.flatMap((slot) => slot.workers).map((worker) => usage.of_pid(worker.pid)).filter(Boolean);
    const scales = { cpu: scale_of(Math.max(0, ...used.map((one) => one.cpu.most)), 10), mem: scale_of(Math.max(0, ...used.map((one) => one.mem.most)), 10) };
    text(table.scales[0], `0–${percent(scales.cpu).replace(".0", "")}`);
    text(table.scales[1], `0–${megabytes(scales.mem)}`);
    keyed(table.body, slots, (slot) => slot.slot, make_row, (row, slot) => update_row(row, program, slot, scales));
    show(table, slots.length > 0);
}
