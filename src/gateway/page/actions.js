// What the buttons do. Where work may be lost, it is asked first. What takes time is followed by events, so that it ends here even if the gateway
// was replaced in the meantime.

import { get, post } from "./api.js";
import { ask, tell } from "./dialogs.js";
import { el } from "./dom.js";
import { count, duration, long_duration, plain, words } from "./format.js";
import { sockets_of } from "./listeners.js";
import { begin, fail } from "./notices.js";
import { tone_of } from "./states.js";

const PENDING_MOST = 100;
const reloads = new Map(), jobs = new Map(); // what waits for the end of those, by id
let changed = () => {}, is_connected = () => true;

export function start_actions(on_change, connected) {
    changed = on_change;
    is_connected = connected;
}

async function order(path, body, what, follow) {
    if (!is_connected()) {
        fail(`${what}: not now, the gateway does not answer.`, "Try again when it is back.");
        return;
    }
    const notice = begin(`${what} …`);
    try {
        follow(await post(path, body), notice);
    } catch (error) {
        notice.failed(`${what}: ${error.message}`, error.remedy);
    }
    changed();
}

// Of two that may come in any order: the answer to an order, and the end of what it began.
function wait_for(pending, id, end) {
    const early = pending.get(id);
    pending.delete(id);
    if (early && typeof early !== "function") {
        end(early);
        return;
    }
    if (pending.size >= PENDING_MOST)
        pending.delete(pending.keys().next().value);
    pending.set(id, end);
}

function ended(pending, id, what) {
    const end = pending.get(id);
    if (typeof end === "function") {
        pending.delete(id);
        end(what);
    } else {
        if (pending.size >= PENDING_MOST)
            pending.delete(pending.keys().next().value);
        pending.set(id, what);
    }
}

export const reload_ended = (record) => ended(reloads, record.id, record);
export const job_ended = (event) => ended(jobs, event.id, event.results ?? []);

function report_reload(what, notice, record) {
    const took = record.duration_usec === undefined ? "" : `, ${duration(record.duration_usec)}`;
    const sentence = `${what}: ${words(record.result)}${took}${record.reason ? `. ${plain(record.reason)}` : ""}`;
    if (["committed", "superseded"].includes(record.result))
        notice.done(sentence, tone_of(record.result));
    else
        notice.failed(sentence, { refused: "Nothing was touched. Mend the configuration and reload again.", rolled_back: "What ran before runs on. Mend it and reload again.", degraded: "Not all of what ran before could be started again: see the programs above." }[record.result] ?? "");
}

function order_reload(path, body, what) {
    return order(path, { ...body, wait: false }, what, (reply, notice) =>
        wait_for(reloads, reply.id, (record) => report_reload(`${what} (reload ${reply.id})`, notice, record)));
}

const DONE = { started: "started", already_started: "ran already", exited: "has done its work", stopped: "stopped", already_stopped: "was stopped already", restarted: "restarted", superseded: "gave way to another order" };

const target_name = (result) => `${result.program}${result.slot === undefined ? "" : `:${result.slot}`}`;

function report_job(what, notice, results) {
    const failed = results.filter((result) => result.result === "failed");
    if (failed.length)
        notice.failed(`${what}: ${failed.map((result) => `${target_name(result)} failed${result.reason ? `: ${plain(result.reason)}` : ""}`).join("; ")}`, "What it printed is in the log.");
    else
        notice.done(`${what}: ${results.map((result) => `${target_name(result)} ${DONE[result.result] ?? words(result.result)}`).join(", ") || "done"}`);
}

function order_job(verb, target, what) {
    return order(`/v1/${verb}`, { programs: [target], wait: false }, what, (reply, notice) =>
        wait_for(jobs, reply.id, (results) => report_job(what, notice, results)));
}

const slot_target = (program, slot) => `${program.name}:${slot.slot}`;
const slot_name = (program, slot) => slot.name ?? slot_target(program, slot);

function loss_of_stop(program) {
    const sockets = sockets_of(program.name).map((socket) => `${socket.name} (${socket.addresses.join(", ")})`).join(" and ");
    return `Its workers finish what they are at, then leave. Until somebody starts it again nobody answers${sockets ? ` on ${sockets}: new connections wait there` : ""}.`;
}

function connections_text(worker) {
    const shown = (worker.connections ?? []).slice(0, 8).map((one) => `${one.peer ?? one.local ?? one.protocol}${one.idle_usec === undefined ? "" : `, idle for ${long_duration(one.idle_usec / 1e6)}`}`);
    const all = worker.connection_count;
    if (all === undefined)
        return [];
    return [el("p", {}, all ? `${count(all, "connection")} open${shown.length < all ? `, the least idle ${shown.length}` : ""}:` : "No connection is open."), el("ul", {}, ...shown.map((line) => el("li", {}, line)))];
}

const WAITS = { ready: "until it is ready", fully_closed: "until it says that all is closed", exit: "for its process to end", rest: "for the rest of its processes" };

function describe_leaving(worker) {
    const waits = worker.waits_for ? `It waits ${WAITS[worker.waits_for] ?? worker.waits_for}` : "It stays";
    const limit = worker.left_usec === undefined ? "" : `, for ${long_duration(worker.left_usec / 1e6)} more${worker.limit ? ` (${worker.limit})` : ""}`;
    return el("section", {}, el("h3", {}, `${worker.name}, pid ${worker.pid}: ${words(worker.state)}`), el("p", {}, `${waits}${limit}.${worker.reason ? ` Told to leave because of: ${plain(worker.reason)}.` : ""}${worker.message_unread ? " It was told and has not read it." : ""}`), ...connections_text(worker));
}

export const act = {
    reload: () => order_reload("/v1/reload", {}, "Reload"),
    undo: () => order_reload("/v1/undo", {}, "Undo"),

    async restart(program) {
        const is_ready = ["READY", "STOPPED", "EXITED"].includes(program.state);
        if (!is_ready && !(await ask({ title: `Restart ${program.name}?`, body: `It is not ready as a whole (${words(program.state)}, ${program.ready} of ${program.workers} workers). What workers that are not ready are at is lost.`, yes: "Restart it" })))
            return;
        await order_job("restart", program.name, `Restart of ${program.name}`);
    },

    async restart_slot(program, slot) {
        const name = slot_name(program, slot), is_ready = ["READY", "STOPPED", "EXITED"].includes(slot.state);
        if (!is_ready && !(await ask({ title: `Restart ${name}?`, body: `It is not ready (${words(slot.state)}). What it is at is lost.`, yes: "Restart it" })))
            return;
        await order_job("restart", slot_target(program, slot), `Restart of ${name}`);
    },

    start: (program) => order_job("start", program.name, `Start of ${program.name}`),
    start_slot: (program, slot) => order_job("start", slot_target(program, slot), `Start of ${slot_name(program, slot)}`),

    async stop(program) {
        if (await ask({ title: `Stop ${program.name}?`, body: loss_of_stop(program), yes: `Stop ${count(program.workers, "worker")}` }))
            await order_job("stop", program.name, `Stop of ${program.name}`);
    },

    async stop_slot(program, slot) {
        const name = slot_name(program, slot), others = program.ready - (slot.state === "READY" ? 1 : 0);
        const body = others > 0 ? `It finishes what it is at, then leaves. ${others === 1 ? "One other serves" : `${others} others serve`} on.` : loss_of_stop(program);
        if (await ask({ title: `Stop ${name}?`, body, yes: "Stop it" }))
            await order_job("stop", slot_target(program, slot), `Stop of ${name}`);
    },

    async scale(program, by) {
        const to = program.workers + by;
        if (by < 0 && !(await ask({ title: `One worker less for ${program.name}?`, body: `Then it has ${to} instead of ${program.workers}. The one that leaves finishes what it is at. The next reload that reads the configuration sets the number anew.`, yes: `Scale to ${to}` })))
            return;
        await order("/v1/scale", { program: program.name, by }, `Scale of ${program.name} to ${to}`, (reply, notice) => report_reload(`Scale of ${program.name} to ${to}`, notice, reply));
    },

    async shutdown() {
        if (await ask({ title: "Shut down reloader?", body: "Every worker of every program finishes what it is at and leaves, all sockets are closed, and this page has nobody to answer it. It can be started again on the machine only.", yes: "Shut it down" }))
            await order("/v1/shutdown", {}, "Shutdown", (_, notice) => notice.done("Shutdown: it has begun.", "busy"));
    },

    async why(program, slot) {
        try {
            const { workers, failure } = await get(`/v1/why?programs=${encodeURIComponent(slot_target(program, slot))}`);
            const sections = workers.map(describe_leaving);
            tell(`Why is ${slot_name(program, slot)} still here?`, ...(sections.length ? sections : [el("p", {}, "It is not here any more, or stays.")]), ...(failure ? [el("p", { class: "reason" }, failure)] : []));
        } catch (error) {
            fail(`Why: ${error.message}`, error.remedy);
        }
    },
};
