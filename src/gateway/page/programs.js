// A card for each program: its state, numbers, buttons, a strip with a sign for each slot, and its workers' table.

import { act } from "./actions.js";
import { $, attribute, change_icon, el, icon, keyed, show, svg, text } from "./dom.js";
import { count, megabytes, percent, plain, words } from "./format.js";
import { draw, graph, scale_of } from "./graph.js";
import { queue_text, sockets_of } from "./listeners.js";
import { read, write } from "./settings.js";
import { chip, is_stopped, is_unhealthy, set_chip, shape_of, tone_of } from "./states.js";
import * as usage from "./usage.js";
import { make_table, update_table } from "./workers.js";

const FOLDED_FROM = 13; // as many slots as that begin folded

const is_folded = (program) => read(`folded.${program.name}`) ?? program.slots.length >= FOLDED_FROM;

export const is_program_as_wished = (program) => ["READY", "STOPPED", "EXITED", "RELOADING"].includes(program.state);

// The sign of a slot: of its newest worker that is ready, else as the slot is.
function sign_of(program, slot) {
    const ready = slot.workers.filter((worker) => worker.state === "READY");
    const newest = ready.reduce((most, worker) => Math.max(most, worker.generation), 0);
    const state = ready.length ? (ready.some(is_unhealthy) ? "UNHEALTHY" : "READY") : slot.state;
    return { state, newer: newest > program.generation, generation: newest, rolling: slot.workers.length > 1 };
}

function update_strip(strip, program) {
    keyed(strip, program.slots, (slot) => slot.slot, () => svg("svg", { viewBox: "0 0 12 15" }, svg("use", { width: 12, height: 12 }), svg("title")), (node, slot) => {
        const sign = sign_of(program, slot);
        attribute(node, "class", `sign tone-${tone_of(sign.state)}${sign.newer ? " newer" : ""}${sign.rolling ? " rolling" : ""}`);
        attribute(node.firstChild, "href", `#${shape_of(sign.state)}`);
        text(node.lastChild, `${slot.name ?? slot.slot}: ${words(sign.state)}${sign.generation ? `, generation ${sign.generation}` : ""}`);
    });
    const newer = program.slots.filter((slot) => sign_of(program, slot).newer).length;
    attribute(strip, "aria-label", `${program.ready} of ${count(program.slots.length, "slot")} ready${newer ? `, ${newer} on the new generation` : ""}`);
}

function measure(name, className) {
    const picture = graph(className), value = el("span", { class: "value" }), scale = el("span", { class: "scale" });
    return Object.assign(el("span", { class: `measure ${className}` }, el("span", { class: "label" }, name), picture, value), { picture, value, scale });
}

function update_measure(node, series, least, value_text, what) {
    const scale = scale_of(series?.most ?? 0, least);
    text(node.value, value_text(series?.last));
    if (series)
        draw(node.picture, series, scale, `${what} ${value_text(series.last)}, at most ${value_text(series.most)} in two minutes; the graph ends at ${value_text(scale)}`);
}

function make_card(program) {
    const id = `program-${program.name}`, card = el("article", { class: "card program", "aria-labelledby": id });
    const parts = {
        fold: el("button", { type: "button", class: "small fold", "aria-controls": `${id}-workers` }, icon("i-fold")),
        name: el("h3", { id, title: program.name }, program.name),
        state: chip(), ready: el("span", { class: "ready" }), generation: el("span", { class: "muted" }), groups: el("span", { class: "muted groups" }),
        cpu: measure("CPU", "cpu"), mem: measure("Mem.", "mem"),
        fewer: el("button", { type: "button", class: "small fewer", "aria-label": `One worker less for ${program.name}`, title: "One worker less" }, "−"),
        wanted: el("span", { class: "wanted", title: "Workers that it is to have" }),
        more: el("button", { type: "button", class: "small more", "aria-label": `One worker more for ${program.name}`, title: "One worker more" }, "+"),
        restart: el("button", { type: "button", class: "restart", "aria-label": `Restart ${program.name}` }, icon("i-restart"), el("span", { class: "word" }, "Restart")),
        stop: el("button", { type: "button", class: "stop", "aria-label": `Stop ${program.name}` }, icon("i-stop"), el("span", { class: "word" }, "Stop")),
        sockets: el("span", { class: "sockets" }), strip: el("div", { class: "strip", role: "img" }), note: el("p", { class: "reason" }), table: make_table(`Workers of ${program.name}`),
    };
    parts.table.id = `${id}-workers`;
    const title = el("div", { class: "program-title" }, parts.fold, parts.name, parts.state);
    const tools = el("div", { class: "program-tools" }, el("span", { class: "scaler", role: "group", "aria-label": `Number of workers of ${program.name}` }, parts.fewer, parts.wanted, parts.more), parts.restart, parts.stop);
    card.append(el("header", { class: "program-head" }, title, el("div", { class: "measures" }, parts.cpu, parts.mem), tools), el("div", { class: "program-line" }, parts.ready, parts.generation, parts.groups, parts.strip, parts.sockets), parts.note, parts.table);
    parts.fold.addEventListener("click", () => {
        write(`folded.${program.name}`, !is_folded(card.program));
        update_card(card, card.program);
    });
    parts.restart.addEventListener("click", () => act.restart(card.program));
    parts.stop.addEventListener("click", () => (card.is_stopped ? act.start : act.stop)(card.program));
    parts.fewer.addEventListener("click", () => act.scale(card.program, -1));
    parts.more.addEventListener("click", () => act.scale(card.program, 1));
    return Object.assign(card, { parts });
}

// What keeps it from being as it is to be, in one line.
function trouble_of(program) {
    const parts = [];
    if (program.waits_for)
        parts.push(`It waits until ${program.waits_for} has started.`);
    if (program.health)
        parts.push(plain(program.health));
    const lost = program.output;
    if (lost)
        parts.push(`Of its output ${count(lost.dropped_lines, "line")} (${lost.dropped_bytes} bytes) could not be written${lost.lost_bytes ? `, and ${lost.lost_bytes} bytes were lost` : ""}.`);
    return parts.join(" ");
}

function update_sockets(node, program) {
    keyed(node, sockets_of(program.name), (socket) => socket.name, () => el("span", { class: "socket" }), (one, socket) => {
        text(one, `${socket.name} ${queue_text(socket)}`);
        attribute(one, "title", `${socket.addresses.join(", ")}: ${socket.queue ?? "?"} wait to be accepted, of at most ${socket.backlog ?? "?"}`);
        attribute(one, "class", `socket${socket.is_filling ? " tone-warn" : ""}`);
    });
}

function update_stop(card, parts, program) {
    card.is_stopped = program.slots.every(is_stopped);
    const verb = card.is_stopped ? "Start" : "Stop";
    text(parts.stop.lastChild, verb);
    attribute(parts.stop, "aria-label", `${verb} ${program.name}`);
    attribute(parts.stop, "class", verb.toLowerCase());
    change_icon(parts.stop.firstChild, card.is_stopped ? "i-start" : "i-stop");
}

function update_card(card, program) {
    const { parts } = card, used = usage.of_program(program.name), folded = is_folded(program);
    card.program = program;
    set_chip(parts.state, program.state);
    text(parts.ready, `${program.ready} of ${program.workers} ready`);
    const next = Math.max(program.generation, ...program.slots.flatMap((slot) => slot.workers.map((worker) => worker.generation)));
    text(parts.generation, next > program.generation ? `generation ${program.generation} → ${next}` : `generation ${program.generation}`);
    text(parts.groups, program.groups?.length ? `in ${program.groups.join(", ")}` : "");
    update_measure(parts.cpu, used?.cpu, 10, percent, "CPU");
    update_measure(parts.mem, used?.mem, 10, megabytes, "Memory");
    text(parts.wanted, program.workers);
    parts.fewer.disabled = program.workers <= 1;
    update_stop(card, parts, program);
    attribute(parts.fold, "aria-expanded", String(!folded));
    attribute(parts.fold, "aria-label", `All workers of ${program.name}`);
    show(parts.strip, program.slots.length > 1);
    update_strip(parts.strip, program);
    update_sockets(parts.sockets, program);
    const trouble = trouble_of(program);
    text(parts.note, trouble);
    show(parts.note, trouble);
    update_table(parts.table, program, folded);
}

export function update_programs(status) {
    keyed($("program-list"), status.programs, (program) => program.name, make_card, update_card);
    const slots = status.programs.flatMap((program) => program.slots).length;
    text($("programs-count"), `${status.programs.length}, ${count(slots, "slot")}`);
}
