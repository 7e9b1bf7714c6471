// Before anything is drawn, so that a page that is kept dark does not flash: hence no module. The button is in look.js.
(function () {
    "use strict";
    try {
        const theme = JSON.parse(localStorage.getItem("reloader.theme"));
        if (theme === "light" || theme === "dark")
            document.documentElement.dataset.theme = theme;
    } catch {
        // Storage may be forbidden; then it is as the system is.
    }
})();
