// What workers print, as they print it.

import { $, attribute, el, keyed, text } from "./dom.js";
import { clock, count, plain, server_now } from "./format.js";
import { Lines } from "./lines.js";
import { Stream } from "./stream.js";

const LINES_MOST = 2000, PAUSED_MOST = 2000, TEXT_MOST = 8192;
let lines, stream, paused = null, find = "", unseen = new Map(), problem = null, hidden_since = false;

const matches = (node) => find === "" || node.textContent.toLowerCase().includes(find);

function put(node) {
    node.hidden = !matches(node);
    if (paused) {
        paused.push(node);
        if (paused.length > PAUSED_MOST)
            paused.shift();
        note();
    } else {
        lines.add(node);
    }
}

const remark = (words) => put(el("div", { class: "line remark" }, words));

function on_lines({ program, name, slot, stream: from, text: printed, missed }) {
    if (missed)
        remark(`${count(missed, "line")} of ${name} left out: there were too many`);
    const time = clock(server_now() * 1000);
    for (const line of printed.replace(/\n$/, "").split("\n"))
        put(el("div", { class: `line${from === "stderr" ? " stderr" : ""}` }, el("span", { class: "time" }, time), el("span", { class: "from", title: `${program}:${slot}, ${from}` }, name), el("span", { class: "printed" }, plain(line).slice(0, TEXT_MOST))));
}

// Who is asked for, but prints only where nobody can follow it.
function on_outputs(outputs) {
    const seen = new Set(outputs.filter((one) => !["inherit", "null"].includes(one.to)).map((one) => one.program));
    unseen = new Map(outputs.filter((one) => !seen.has(one.program)).map((one) => [one.program, one.to]));
    note();
}

function note() {
    const parts = [];
    if (paused)
        parts.push(`Paused: ${count(paused.length, "line")} wait.`);
    if (problem)
        parts.push(`Not followed now. ${problem.message}`);
    const inherit = [...unseen].filter(([, to]) => to === "inherit").map(([name]) => name), nowhere = [...unseen].filter(([, to]) => to === "null").map(([name]) => name);
    if (inherit.length)
        parts.push(`Of ${inherit.join(", ")} nothing is shown: it prints where reloader does. With “stdout: file”, “log” or “journal” it would be here.`);
    if (nowhere.length)
        parts.push(`Of ${nowhere.join(", ")} nothing is shown: it is silent.`);
    text($("log-note"), parts.join(" "));
}

function on_event(name, data) {
    if (name !== "reply")
        return;
    if (data.outputs)
        on_outputs(data.outputs);
    if (data.lines)
        on_lines(data.lines);
}

function on_state(up, why) {
    problem = up ? null : why;
    note();
}

export function open_log() {
    const query = new URLSearchParams({ programs: $("log-from").value || "all" });
    if ($("log-stream").value)
        query.set("stream", $("log-stream").value);
    if (hidden_since)
        remark("while this page was hidden, nothing was followed");
    hidden_since = false;
    stream.open(`/v1/logs?${query}`);
}

export function close_log() {
    hidden_since = true;
    stream.close();
}

export const retry_log = () => stream.retry();

function switch_pause() {
    const waiting = paused;
    paused = paused ? null : [];
    waiting?.forEach((node) => lines.add(node));
    attribute($("log-pause"), "aria-pressed", String(Boolean(paused)));
    text($("log-pause"), paused ? "Go on" : "Pause");
    note();
}

function set_find() {
    find = $("log-find").value.trim().toLowerCase();
    for (const node of [...lines.box.children, ...(paused ?? []), ...lines.waiting])
        node.hidden = !matches(node);
    if (lines.following)
        lines.to_end();
}

// The choices are those programs and slots that there are.
export function update_log(status) {
    const programs = status.programs.map(({ name, slots }) => {
        const several = slots.length > 1, each = several ? slots.map((slot) => [`${name}:${slot.slot}`, slot.name ?? `${name}:${slot.slot}`]) : [];
        return { name, choices: [[name, several ? `${name}, all` : name], ...each] };
    });
    keyed($("log-from"), [null, ...programs], (program) => program?.name ?? "", (program) => (program ? el("optgroup", { label: program.name }) : el("option", { value: "all" }, "all programs")), (node, program) => {
        if (program)
            keyed(node, program.choices, ([value]) => value, ([value]) => el("option", { value }), (option, [, label]) => text(option, label));
    });
}

export function start_log() {
    lines = new Lines("log-lines", LINES_MOST);
    stream = new Stream(on_event, on_state);
    lines.on_follow = (following) => attribute($("log-follow"), "aria-pressed", String(following));
    $("log-from").addEventListener("change", open_log);
    $("log-stream").addEventListener("change", open_log);
    $("log-find").addEventListener("input", set_find);
    $("log-pause").addEventListener("click", switch_pause);
    $("log-follow").addEventListener("click", () => lines.follow(!lines.following));
    $("log-clear").addEventListener("click", () => lines.clear());
}
