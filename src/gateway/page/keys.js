// Single keys, where no text is being written and no dialog is open.

import { act } from "./actions.js";
import { is_asking, tell } from "./dialogs.js";
import { $, el } from "./dom.js";
import { next_theme } from "./look.js";
import { tell_plan } from "./plan.js";

const focus = (id) => () => $(id).focus();

function to_program(step) {
    const cards = [...$("program-list").querySelectorAll(".program")], at = cards.findIndex((card) => card.contains(document.activeElement));
    const next = cards[Math.min(cards.length - 1, Math.max(0, at + step))];
    next?.querySelector(".restart").focus();
    next?.scrollIntoView({ block: "nearest" });
}

const KEYS = [
    ["r", "Reload", () => act.reload()],
    ["c", "Check what a reload would do now", tell_plan],
    ["u", "Undo the last reload that committed", () => act.undo()],
    ["j", "Next program", () => to_program(1)],
    ["k", "Previous program", () => to_program(-1)],
    ["l", "Choose whose log is shown", focus("log-from")],
    ["/", "Look for text in the log", focus("log-find")],
    ["p", "Pause the log, or go on", () => $("log-pause").click()],
    ["f", "Follow the end of the log, or not", () => $("log-follow").click()],
    ["t", "Light, dark, or as the system is", next_theme],
    ["?", "This list", () => help()],
];

const FIXED = [
    ["Tab", "Next button or field"],
    ["↑ ↓", "In a table of workers: the same button of another row"],
    ["Esc", "Close a dialog; leave a field"],
];

export function help() {
    const rows = [...KEYS, ...FIXED].map(([key, what]) => el("tr", {}, el("th", { scope: "row" }, el("kbd", {}, key)), el("td", {}, what)));
    tell("Keyboard", el("table", { class: "keys" }, el("tbody", {}, ...rows)));
}

function on_key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing || is_asking())
        return;
    if (event.target.closest("input, select, textarea")) {
        if (event.key === "Escape")
            event.target.blur();
        return;
    }
    const row = KEYS.find(([key]) => key === event.key);
    // A key that is held down acts once.
    if (!row || event.repeat)
        return;
    event.preventDefault();
    row[2]();
}

export function start_keys() {
    document.addEventListener("keydown", on_key);
    $("do-help").addEventListener("click", help);
}
