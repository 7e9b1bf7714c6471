// Questions before something is lost, and answers that are too long for a line. The browser keeps focus within and gives it back.

import { $, text } from "./dom.js";

let answered = null;

function settle(answer) {
    const resolve = answered;
    answered = null;
    resolve?.(answer);
}

// Resolves to true where the answer is the act, false in any other case. Nothing is chosen by a key that was meant for the page.
export function ask({ title, body, yes }) {
    settle(false);
    text($("ask-title"), title);
    text($("ask-text"), body);
    text($("ask-yes"), yes);
    return new Promise((resolve) => {
        answered = resolve;
        if (!$("ask").open)
            $("ask").showModal();
        $("ask-no").focus();
    });
}

export function tell(title, ...body) {
    text($("tell-title"), title);
    $("tell-body").replaceChildren(...body);
    if (!$("tell").open)
        $("tell").showModal();
    $("tell-close").focus();
}

export const is_asking = () => $("ask").open || $("tell").open;

export function start_dialogs() {
    $("ask-yes").addEventListener("click", () => {
        settle(true);
        $("ask").close();
    });
    $("ask-no").addEventListener("click", () => $("ask").close());
    $("ask").addEventListener("close", () => settle(false));
    $("tell-close").addEventListener("click", () => $("tell").close());
    for (const dialog of [$("ask"), $("tell")])
        dialog.addEventListener("click", (event) => {
            if (event.target === dialog)
                dialog.close();
        });
}
