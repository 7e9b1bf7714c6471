// The gateway's page. The master's status is the truth; events only tell when to ask for it again.
//
//   page.js       from loading to leaving: asking, the connection, the header
//   programs.js   cards of programs; workers.js their tables; listeners.js sockets
//   reload.js     the reload that runs; history.js those that ended
//   log.js        what workers print; events.js events; lines.js their boxes; stream.js how they come
//   actions.js    what buttons do; plan.js what a reload would do; dialogs.js, notices.js, keys.js; look.js, theme.js colours
//   api.js        calls; dom.js elements; format.js words; graph.js, usage.js graphs; states.js looks; settings.js what is kept

import { act, job_ended, reload_ended, start_actions } from "./actions.js";
import { Problem, get } from "./api.js";
import { start_dialogs } from "./dialogs.js";
import { $, attribute, show, text } from "./dom.js";
import { add_event, add_remark, start_events } from "./events.js";
import { age, clock, duration, long_duration, megabytes, percent, words } from "./format.js";
import { draw, graph, scale_of } from "./graph.js";
import { fetch_history, record_of, start_history, update_history } from "./history.js";
import { start_keys } from "./keys.js";
import { set_sockets, update_listeners } from "./listeners.js";
import { close_log, open_log, retry_log, start_log, update_log } from "./log.js";
import { start_look } from "./look.js";
import { tell_plan } from "./plan.js";
import { is_program_as_wished, update_programs } from "./programs.js";
import { on_reload_event, start_reload, update_reload } from "./reload.js";
import { chip, set_chip } from "./states.js";
import { Stream, waiting_time } from "./stream.js";
import * as usage from "./usage.js";

const PERIOD = 2000, SOON = 150, ANXIOUS = 3000, HIDDEN_PATIENCE = 10000; // milliseconds
const PAST_EVENTS = "15m"; // that a fresh page asks for
const EVENT_TYPES = "master,reload,rollout,worker,job,message,socket"; // log lines come by themselves

const state = { status: null, heard: 0, failures: 0, problem: null, next_try: 0, is_lost: false, asked_history: "" };
let timer = null, due = 0, asking = false, again = false, hide_timer = null, events = null;
const master_state = chip(), graphs = { cpu: graph("cpu"), mem: graph("mem") };
const values = { cpu: document.createElement("span"), mem: document.createElement("span") };

// --- asking

function ask_in(milliseconds) {
    const at = Date.now() + milliseconds;
    if (timer !== null && due <= at)
        return;
    clearTimeout(timer);
    due = at;
    timer = setTimeout(() => {
        timer = null;
        void look();
    }, milliseconds);
}

// What is asked for while an answer is on its way is asked once it is there.
async function look(with_usage = Date.now() - (state.sampled ?? 0) >= 0.6 * PERIOD) {
    if (asking) {
        again = true;
        return;
    }
    asking = true;
    again = false;
    try {
        const [status, stats] = await Promise.all([get("/v1/status"), with_usage ? get("/stats").catch(() => null) : null]);
        take(status, with_usage, stats?.result);
    } catch (error) {
        miss(error);
    }
    asking = false;
    if (document.visibilityState === "visible")
        ask_in(state.failures ? Math.max(0, state.next_try - Date.now()) : again ? SOON : PERIOD);
}

function take(status, with_usage, stats) {
    const received = Date.now();
    for (const worker of status.programs.flatMap((program) => program.slots).flatMap((slot) => slot.workers))
        worker.until = received + (worker.left_usec ?? 0) / 1000;
    state.status = status;
    state.received = received;
    heard();
    if (with_usage) {
        usage.skip(Math.floor((received - (state.sampled ?? received)) / PERIOD) - 2);
        state.sampled = received;
        usage.sample(status, stats);
    }
    const { id, result } = status.reload ?? {};
    const asked = `${status.master.pid} ${id} ${result}`;
    if (asked !== state.asked_history) {
        state.asked_history = asked;
        void learn();
    }
    render();
}

// What changes seldom.
async function learn() {
    try {
        const [, { sockets }] = await Promise.all([fetch_history(), get("/v1/sockets")]);
        set_sockets(sockets);
        const { reload } = state.status;
        if (reload?.result)
            reload_ended(record_of(reload.id) ?? reload);
        render();
    } catch {
        state.asked_history = "";
    }
}

// --- the connection

function heard() {
    state.heard = Date.now();
    state.failures = 0;
    state.problem = null;
    if (!state.is_lost)
        return;
    state.is_lost = false;
    show_connection();
    events.retry();
    retry_log();
}

function miss(problem) {
    state.failures++;
    state.problem = problem;
    state.next_try = Date.now() + waiting_time(state.failures);
    state.began_missing ??= Date.now();
    if (state.failures > 1 || !state.status)
        state.is_lost = true;
    show_connection();
}

function show_connection() {
    const { is_lost, problem, status } = state;
    attribute(document.body, "class", is_lost ? "stale" : null);
    show($("lost"), is_lost);
    attribute($("link"), "class", `link tone-${is_lost ? "bad" : status ? "ok" : "idle"}`);
    text($("link"), is_lost ? "no connection" : status ? "live" : "connecting");
    if (is_lost) {
        text($("lost-text"), `${problem?.message ?? "The gateway does not answer."}${status ? ` What is shown is from ${clock(state.received * 1000)}.` : ""} ${problem?.remedy ?? ""}`);
        const left = Math.max(0, Math.ceil((state.next_try - Date.now()) / 1000));
        text($("lost-next"), `${state.heard ? `Gone for ${long_duration((Date.now() - state.heard) / 1000)}. ` : ""}${asking ? "Trying …" : `Next attempt in ${left} s.`}`);
    }
}

function on_event(name, event) {
    if (name === "gone")
        miss(new Problem(503, "The master has gone.", "It has to be started again on the machine, if nobody does so by itself."));
    if (name === "missed")
        add_remark("some events were forgotten before they could be read");
    if (!event.type) {
        ask_in(0);
        return;
    }
    add_event(event);
    if (event.type === "reload") {
        on_reload_event(event);
        if (event.state === "ended")
            reload_ended(event);
    } else if (event.type === "job" && event.state === "ended") {
        job_ended(event);
    } else if (event.type === "socket") {
        state.asked_history = "";
    }
    ask_in(SOON);
}

// A stream that breaks is the first to tell that the gateway has gone.
function on_events_state() {
    ask_in(0);
}

function on_visibility() {
    clearTimeout(hide_timer);
    if (document.visibilityState === "visible") {
        if (!state.is_streaming)
            open_streams();
        ask_in(0);
        return;
    }
    clearTimeout(timer);
    timer = null;
    // A browser has few connections for a site: a page that nobody sees leaves them to others.
    hide_timer = setTimeout(() => {
        state.is_streaming = false;
        events.close();
        close_log();
    }, HIDDEN_PATIENCE);
}

function open_streams() {
    state.is_streaming = true;
    state.events_path ??= `/events?type=${EVENT_TYPES}&since=${PAST_EVENTS}`;
    events.open(state.events_path);
    open_log();
}

// --- drawing

function show_usage(name, value_text) {
    const series = usage.total[name], scale = scale_of(series.most, 10);
    text(values[name], value_text(series.last));
    text($(`m-${name}-scale`), `0–${value_text(scale).replace(".0", "")}`);
    draw(graphs[name], series, scale, `${name === "cpu" ? "CPU" : "Memory"} of all workers: ${value_text(series.last)}, at most ${value_text(series.most)} in two minutes`);
}

function show_master({ master, programs }) {
    set_chip(master_state, String(master.state).toUpperCase());
    const ready = programs.reduce((sum, program) => sum + program.ready, 0), wanted = programs.reduce((sum, program) => sum + program.workers, 0);
    text($("m-ready"), `${ready} of ${wanted}`);
    text($("m-up"), long_duration(master.uptime_usec / 1e6 + (Date.now() - state.received) / 1000));
    text($("m-loop"), duration(master.loop_delay));
    text($("m-pid"), master.pid);
    text($("m-version"), master.version);
    show_usage("cpu", percent);
    show_usage("mem", megabytes);
    const troubled = programs.filter((program) => !is_program_as_wished(program)).length;
    document.title = `${troubled ? `(${troubled}) ` : ""}${location.hostname} – reloader`;
}

// Who serves this page: no program among the others.
function gateway_text(gateway) {
    const worker = gateway?.program?.slots?.[0]?.workers?.[0];
    return gateway ? ` Gateway on ${gateway.address ?? "?"}: ${words(gateway.state)}${worker ? `, pid ${worker.pid}, for ${age(worker.since_usec)}` : ""}.` : "";
}

function render() {
    const { status } = state;
    if (!status)
        return;
    show_connection();
    show_master(status);
    update_listeners(status);
    update_programs(status);
    update_reload(status);
    update_history();
    update_log(status);
    text($("foot-data"), `Asked last at ${clock(state.received * 1000)}, every 2 s while this page is seen.${gateway_text(status.gateway)}`);
}

function tick() {
    if (document.visibilityState !== "visible")
        return;
    // An answer that does not come is no error yet, but people want to know.
    if (asking && Date.now() - state.heard > PERIOD + ANXIOUS && state.status && !state.is_lost) {
        state.is_lost = true;
        state.next_try = Date.now();
    }
    if (state.is_lost)
        show_connection();
    else
        render();
}

function start() {
    text($("host"), location.host);
    $("m-state").replaceChildren(master_state);
    for (const name of ["cpu", "mem"])
        $(`m-${name}`).append(graphs[name], values[name]);
    start_look();
    start_dialogs();
    start_reload();
    start_history();
    start_log();
    start_events();
    start_keys();
    start_actions(() => ask_in(0), () => !state.is_lost);
    events = new Stream(on_event, on_events_state);
    $("do-reload").addEventListener("click", act.reload);
    $("do-undo").addEventListener("click", act.undo);
    $("do-check").addEventListener("click", tell_plan);
    $("do-shutdown").addEventListener("click", act.shutdown);
    $("do-retry").addEventListener("click", () => {
        state.next_try = 0;
        ask_in(0);
    });
    document.addEventListener("visibilitychange", on_visibility);
    setInterval(tick, 1000);
    open_streams();
    void look(true);
}

start();
