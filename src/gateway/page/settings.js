// What this browser keeps. Where it may not, the page works on without.

export function read(name) {
    try {
        return JSON.parse(localStorage.getItem(`reloader.${name}`));
    } catch {
        return null;
    }
}

export function write(name, value) {
    try {
        localStorage.setItem(`reloader.${name}`, JSON.stringify(value));
    } catch {
        // It is forgotten with the page, then.
    }
}
