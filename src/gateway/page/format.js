// Numbers and words for people.

let skew = 0; // the server's clock minus ours, in milliseconds

export function set_server_time(milliseconds) {
    const off = milliseconds - Date.now();
    // HTTP's dates are whole seconds: less than that is no difference.
    if (Math.abs(off) > 2000 || skew !== 0)
        skew = Math.abs(off) > 2000 ? off : 0;
}

export const server_now = () => Date.now() + skew;

export function duration(usec) {
    const seconds = usec / 1e6;
    if (usec < 1000)
        return `${Math.round(usec)} µs`;
    if (seconds < 1)
        return `${usec < 10000 ? (usec / 1000).toFixed(1) : Math.round(usec / 1000)} ms`;
    if (seconds < 10)
        return `${seconds.toFixed(1)} s`;
    return long_duration(seconds);
}

// From whole seconds on, in two units.
export function long_duration(seconds) {
    const s = Math.max(0, Math.floor(seconds));
    if (s < 60)
        return `${s} s`;
    if (s < 3600)
        return `${Math.floor(s / 60)} min ${s % 60} s`;
    if (s < 86400)
        return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
    return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

// Without seconds where there are minutes: where many stand in a column, it is calmer.
function short_duration(seconds) {
    const text = long_duration(seconds);
    return seconds >= 60 && seconds < 3600 ? text.replace(/ \d+ s$/, "") : text;
}

const seconds_since = (usec) => (server_now() - usec / 1000) / 1000;

export const age = (usec) => short_duration(seconds_since(usec));

export function ago(usec) {
    return seconds_since(usec) < 2 ? "just now" : `${short_duration(seconds_since(usec))} ago`;
}

const two = (number) => String(number).padStart(2, "0");

export function clock(usec) {
    const date = new Date(usec / 1000);
    return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

export function date_and_time(usec) {
    const date = new Date(usec / 1000);
    return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${clock(usec)}`;
}

export const percent = (value) => (value === undefined ? "–" : `${value < 10 ? value.toFixed(1) : Math.round(value)} %`);

export function megabytes(value) {
    if (value === undefined)
        return "–";
    if (value >= 10000)
        return `${(value / 1000).toFixed(1)} GB`;
    return `${value < 10 ? value.toFixed(1) : Math.round(value)} MB`;
}

export const words = (state) => String(state ?? "").toLowerCase().replaceAll("_", " ");

export const count = (number, one, many = `${one}s`) => `${number} ${number === 1 ? one : many}`;

// What a worker prints may hold escape sequences and other control characters, which say nothing here.
export function plain(line) {
    return String(line)
        // eslint-disable-next-line no-control-regex
        .replace(/\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[@-_])/g, "")
        // eslint-disable-next-line no-control-regex
        .replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, "");
}

// Who asked for a reload.
export function cause_text(cause) {
    if (!cause)
        return "";
    if (cause.by === "watch")
        return `a file changed: ${cause.path ?? "?"}`;
    const by = cause.by === "http" ? "HTTP, gateway" : cause.by;
    return `${by}${cause.pid ? ` of pid ${cause.pid}` : ""}${cause.uid === undefined ? "" : `, uid ${cause.uid}`}`;
}
