// Server-sent events by fetch(): unlike EventSource, it sees an error's status, is ended when the page is hidden, and waits longer each time.

import { request } from "./api.js";

const SHORTEST = 500, LONGEST = 15000; // milliseconds between attempts
const SILENCE = 45000; // the gateway sends a heartbeat much more often

export const waiting_time = (failures) => Math.min(LONGEST, SHORTEST * 2 ** Math.min(failures, 10)) * (0.8 + 0.4 * Math.random());

export class Stream {
    // on_event(name, data), on_state(up, problem); both are optional.
    constructor(on_event, on_state = () => {}) {
        Object.assign(this, { on_event, on_state, path: null, last_id: null, failures: 0, run: 0 });
    }

    // Another path is another stream: what came of the one before is forgotten.
    open(path) {
        if (path !== this.path)
            this.last_id = null;
        this.close();
        this.path = path;
        this.failures = 0;
        void this.#keep(++this.run);
    }

    close() {
        this.run++;
        this.abort?.abort();
        clearTimeout(this.timer);
        this.wake?.();
    }

    get is_open() {
        return Boolean(this.up);
    }

    // Now, not when it would be time.
    retry() {
        this.failures = 0;
        this.wake?.();
    }

    async #keep(run) {
        while (run === this.run) {
            let problem = null;
            try {
                await this.#read(run);
            } catch (error) {
                problem = error;
            }
            this.up = false;
            if (run !== this.run)
                return;
            this.on_state(false, problem);
            await new Promise((resolve) => {
                this.wake = resolve;
                this.timer = setTimeout(resolve, waiting_time(this.failures++));
            });
            clearTimeout(this.timer);
        }
    }

    async #read(run) {
        this.abort = new AbortController();
        const headers = { Accept: "text/event-stream" };
        if (this.last_id)
            headers["Last-Event-ID"] = this.last_id;
        const response = await request(this.path, { headers, signal: this.abort.signal });
        this.up = true;
        this.failures = 0;
        this.on_state(true, null);
        const reader = response.body.getReader(), decoder = new TextDecoder();
        let rest = "";
        for (;;) {
            const { done, value } = await this.#with_limit(reader.read());
            if (done || run !== this.run)
                return;
            const blocks = (rest + decoder.decode(value, { stream: true }).replaceAll("\r", "")).split("\n\n");
            rest = blocks.pop();
            blocks.forEach((block) => this.#take(block));
        }
    }

    #with_limit(promise) {
        let timer;
        const silence = new Promise((_, reject) => {
            timer = setTimeout(() => {
                this.abort.abort();
                reject(new Error("nothing was heard"));
            }, SILENCE);
        });
        return Promise.race([promise, silence]).finally(() => clearTimeout(timer));
    }

    #take(block) {
        let name = "message", id = null;
        const data = [];
        for (const line of block.split("\n")) {
            const colon = line.indexOf(":");
            const field = colon < 0 ? line : line.slice(0, colon), value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
            if (field === "event")
                name = value;
            else if (field === "data")
                data.push(value);
            else if (field === "id")
                id = value;
        }
        if (id !== null)
            this.last_id = id;
        if (data.length === 0)
            return;
        let json = null;
        try {
            json = JSON.parse(data.join("\n"));
        } catch {
            return;
        }
        this.on_event(name, json);
    }
}
