// Calls to the gateway. An error says what was wrong and what can be done about it.

import { set_server_time } from "./format.js";

const PATIENCE = 8000; // milliseconds that an answer to a question may take
const LONG_PATIENCE = 120000; // and one to an order

export class Problem extends Error {
    constructor(status, detail, remedy) {
        super(detail);
        this.status = status;
        this.remedy = remedy;
    }

    // The gateway or the master are not there, in contrast to one that says no.
    get is_absence() {
        return this.status === 0 || this.status >= 502;
    }
}

const REMEDIES = {
    0: "It is tried again by itself.",
    401: "Load the page again and give name and password.",
    403: "This page must be loaded from the gateway itself.",
    404: "It may have been removed by a reload.",
    409: "Wait until what runs now has ended, then try again.",
    413: "Ask for fewer at a time.",
    429: "Wait a moment, then try again.",
    503: "The master may be ending or starting; it is tried again by itself.",
};

async function problem_of(response) {
    let said = {};
    try {
        said = await response.json();
    } catch {
        // Not ours: a proxy in between may answer with a page of its own.
    }
    const detail = said.detail ?? said.reason ?? said.error ?? said.title ?? response.statusText;
    return new Problem(response.status, detail || `The gateway answered ${response.status}.`, REMEDIES[response.status] ?? "");
}

// The response, if it is a good one.
export async function request(path, options) {
    let response;
    try {
        // Of the origin: an address with name and password in it, as somebody may have typed, can't be fetched from.
        response = await fetch(`${location.origin}${path}`, { credentials: "same-origin", cache: "no-store", ...options });
    } catch (error) {
        throw new Problem(0, error.name === "TimeoutError" ? "The gateway does not answer." : "The gateway can't be reached.", REMEDIES[0]);
    }
    if (!response.ok)
        throw await problem_of(response);
    return response;
}

async function call(path, options, patience) {
    const response = await request(path, { signal: AbortSignal.timeout(patience), ...options });
    const date = Date.parse(response.headers.get("Date") ?? "");
    if (date)
        set_server_time(date + 500);
    try {
        return await response.json();
    } catch {
        throw new Problem(0, "The gateway's answer was cut off.", REMEDIES[0]);
    }
}

export const get = (path) => call(path, { headers: { Accept: "application/json" } }, PATIENCE);

export const post = (path, body) =>
    call(path, { method: "POST", headers: { "Content-Type": "application/json", Accept: "application/json" }, body: JSON.stringify(body) }, LONG_PATIENCE);
