// Listening sockets, those of one name together: how many wait to be accepted, and who has them.

import { $, attribute, el, fill, keyed, text } from "./dom.js";

let users = new Map(); // an inode's programs
let groups = [];

// The answer to Sockets tells who has what; how long queues are comes with each status.
export function set_sockets(sockets) {
    users = new Map(sockets.map((socket) => [socket.inode, socket.programs]));
}

const sum = (list, name) => {
    const known = list.filter((one) => one[name] !== undefined);
    return known.length ? known.reduce((all, one) => all + one[name], 0) : undefined;
};

function group(listeners) {
    const names = new Map();
    for (const listener of listeners)
        names.set(listener.name, [...(names.get(listener.name) ?? []), listener]);
    return [...names].map(([name, list]) => {
        const queue = sum(list, "queue"), backlog = sum(list, "backlog");
        return {
            name, queue, backlog, drops: sum(list, "drops"), n: list.length,
            addresses: [...new Set(list.map((one) => one.address))],
            programs: [...new Set(list.flatMap((one) => users.get(one.inode) ?? []))],
            is_filling: backlog > 0 && queue > backlog / 4,
        };
    });
}

export const sockets_of = (program) => groups.filter((one) => one.programs.includes(program));

export const queue_text = (one) => (one.queue === undefined ? "" : `${one.queue} waiting`);

function make_row() {
    const cell = (className) => el("td", { class: className, role: "cell" });
    const parts = { name: cell("c-name"), address: cell("c-address"), programs: cell("c-programs"), queue: cell("c-queue"), drops: cell("num") };
    const bar = el("span", { class: "bar thin", "aria-hidden": "true" }, el("span")), value = el("span", { class: "value" });
    parts.queue.append(bar, value);
    return Object.assign(el("tr", { role: "row" }, ...Object.values(parts)), { parts, bar, value });
}

function update_row(row, one) {
    const { parts } = row;
    text(parts.name, one.n > 1 ? `${one.name} × ${one.n}` : one.name);
    text(parts.address, one.addresses.join(", "));
    text(parts.programs, one.programs.join(", ") || "nobody");
    text(row.value, one.queue === undefined ? "not known" : `${one.queue} of ${one.backlog ?? "?"}`);
    fill(row.bar.firstChild, one.backlog ? one.queue / one.backlog : 0);
    attribute(row.bar, "class", `bar thin${one.is_filling ? " tone-warn" : ""}`);
    text(parts.drops, one.drops ?? "–");
    attribute(parts.drops, "class", `num c-drops${one.drops ? " tone-warn" : " zero"}`);
}

export function update_listeners(status) {
    groups = group(status.listeners);
    keyed($("listener-list"), groups, (one) => one.name, make_row, update_row);
    text($("listeners-count"), groups.length);
}
