// Light, dark, or as the system is.

import { $, attribute, text } from "./dom.js";
import { read, write } from "./settings.js";

const ORDER = ["system", "light", "dark"], NAMES = { system: "System", light: "Light", dark: "Dark" };
let theme = "system";

function put() {
    if (theme === "system")
        delete document.documentElement.dataset.theme;
    else
        document.documentElement.dataset.theme = theme;
    text($("theme-word"), NAMES[theme]);
    attribute($("do-theme"), "aria-label", `Colours: ${NAMES[theme].toLowerCase()}. Change them`);
    attribute($("do-theme"), "title", `Colours: ${NAMES[theme].toLowerCase()} (t)`);
}

export function next_theme() {
    theme = ORDER[(ORDER.indexOf(theme) + 1) % ORDER.length];
    write("theme", theme);
    put();
}

export function start_look() {
    theme = ORDER.includes(read("theme")) ? read("theme") : "system";
    $("do-theme").addEventListener("click", next_theme);
    put();
}
