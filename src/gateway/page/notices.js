// What became of actions, at the edge of the page and for screen readers. Good news leaves by itself; bad news stays until it is closed.

import { $, attribute, el, icon, text } from "./dom.js";

const SHOWN = 6000, MOST = 4;

function place(region, tone, words, remedy) {
    const close = el("button", { type: "button", class: "small close", "aria-label": "Close this message" }, icon("i-close"));
    const node = el("div", { class: `notice tone-${tone}` }, el("span", { class: "words" }, words, remedy ? el("span", { class: "remedy" }, ` ${remedy}`) : null), close);
    close.addEventListener("click", () => node.remove());
    while (region.children.length >= MOST)
        region.firstChild.remove();
    region.append(node);
    return node;
}

function leave_later(node) {
    const timer = setInterval(() => {
        // Who reads it, or is in it, is not hurried.
        if (node.matches(":hover, :focus-within"))
            return;
        clearInterval(timer);
        node.remove();
    }, SHOWN);
}

export function say(words, tone = "ok") {
    leave_later(place($("said"), tone, words));
}

export function fail(words, remedy) {
    place($("failed"), "bad", words, remedy);
}

// Of something that goes on: done(words) or failed(words, remedy) end it.
export function begin(words) {
    const node = place($("said"), "busy", words);
    attribute(node, "aria-busy", "true");
    const end = () => node.isConnected && (attribute(node, "aria-busy", null), true);
    return {
        done(last, tone = "ok") {
            if (!end())
                return say(last, tone);
            attribute(node, "class", `notice tone-${tone}`);
            text(node.firstChild, last);
            leave_later(node);
        },
        failed(last, remedy) {
            node.remove();
            fail(last, remedy);
        },
    };
}
