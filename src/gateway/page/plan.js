// What a reload would do now, or why it would be refused. Nothing is done.

import { get } from "./api.js";
import { tell } from "./dialogs.js";
import { el } from "./dom.js";
import { count, plain, words } from "./format.js";
import { fail } from "./notices.js";

const ACTIONS = {
    roll: "its workers are replaced",
    hand: "its workers are taken over as they are",
    start: "is new, and starts",
    add: "is new, and is not started",
    stop: "is stopped and removed",
    change: "is changed, and stays open",
    bind: "is bound",
    close: "is closed",
};

function part({ name, action, was, workers, address, changes }) {
    const facts = [was && `called ${was} until now`, workers !== undefined && count(workers, "worker"), address, ...(changes ?? [])].filter(Boolean);
    return el("li", {}, el("strong", {}, name), ` ${ACTIONS[action] ?? words(action)}${facts.length ? `: ${plain(facts.join(", "))}` : ""}`);
}

function section(title, entries) {
    const touched = entries.filter((entry) => entry.action !== "keep"), kept = entries.length - touched.length;
    if (entries.length === 0)
        return [];
    return [el("h3", {}, title), el("ul", {}, ...touched.map(part), kept ? el("li", { class: "muted" }, `${kept === entries.length ? "all" : kept} stay as they are`) : null)];
}

export async function tell_plan() {
    try {
        const { result, reason, plan } = await get("/v1/check-config");
        const settings = (plan?.settings ?? []).map((setting) => el("li", {}, plain(setting)));
        tell(result === "would_commit" ? "What a reload would do now" : "A reload would be refused now",
            ...(reason ? [el("p", { class: "reason tone-bad" }, plain(reason))] : []),
            ...section("Programs", plan?.programs ?? []), ...section("Sockets", plan?.sockets ?? []),
            ...(settings.length ? [el("h3", {}, "Settings"), el("ul", {}, ...settings)] : []));
    } catch (error) {
        fail(`Check: ${error.message}`, error.remedy);
    }
}
