// What each state looks like: a tone (its colour), a shape, a word.

import { attribute, change_icon, el, icon, text } from "./dom.js";
import { words } from "./format.js";

const STATES = {
    READY: ["ok", "s-ready"],
    PARTIAL: ["warn", "s-partial"],
    STARTING: ["busy", "s-starting"],
    WAITING: ["idle", "s-starting"],
    RELOADING: ["busy", "s-rolling"],
    ROLLING_BACK: ["warn", "s-rolling"],
    DRAINING: ["busy", "s-draining"],
    STOPPING: ["busy", "s-stopping"],
    STOPPED: ["idle", "s-stopped"],
    EXITED: ["idle", "s-exited"],
    BACKOFF: ["warn", "s-backoff"],
    FATAL: ["bad", "s-fatal"],
    UNHEALTHY: ["warn", "s-backoff"],
    RUNNING: ["ok", "s-ready"],
    CHECKING: ["busy", "s-rolling"],
    CANARIES: ["busy", "s-rolling"],
    ROLLING: ["busy", "s-rolling"],
    COMMITTED: ["ok", "s-ready"],
    WOULD_COMMIT: ["ok", "s-ready"],
    ROLLED_BACK: ["warn", "s-backoff"],
    SUPERSEDED: ["idle", "s-exited"],
    REFUSED: ["bad", "s-fatal"],
    DEGRADED: ["bad", "s-fatal"],
};

const look = (state) => STATES[String(state).toUpperCase()] ?? ["idle", "s-stopped"];

export const tone_of = (state) => look(state)[0];
export const shape_of = (state) => look(state)[1];

export function chip(className = "chip") {
    const picture = icon("s-stopped", "shape"), word = el("span");
    return Object.assign(el("span", { class: className }, picture, word), { picture, word, base: className });
}

export function set_chip(node, state, word = words(state)) {
    attribute(node, "class", `${node.base} tone-${tone_of(state)}`);
    change_icon(node.picture, shape_of(state));
    text(node.word, word);
}

// Misses nothing: it runs, or is not to.
export const is_as_wished = (state) => ["READY", "STOPPED", "EXITED"].includes(state);

export const is_unhealthy = (worker) => worker.health?.state === "unhealthy";

// Nobody runs in it, or will by itself: it can be started.
export const is_stopped = (slot) => ["STOPPED", "EXITED", "FATAL"].includes(slot.state);
