// Small graphs of the last minutes, all of the same time and, within a program, of the same scale.

import { attribute, svg, text } from "./dom.js";

export const SAMPLES = 60; // of two seconds

// The values of one thing; undefined where nothing is known.
export class Series {
    constructor() {
        this.values = [];
    }

    add(value) {
        this.values.push(value);
        if (this.values.length > SAMPLES)
            this.values.shift();
    }

    get last() {
        return this.values.at(-1);
    }

    get most() {
        return this.values.reduce((most, value) => Math.max(most, value ?? 0), 0);
    }
}

// The least of 1, 2, 5, 10, 20 … that holds the value, but not below `least`.
export function scale_of(value, least) {
    let scale = 1;
    for (const steps = [2, 2.5, 2]; scale < Math.max(value, least); steps.push(steps.shift()))
        scale *= steps[0];
    return scale;
}

const WIDTH = SAMPLES - 1, HEIGHT = 20;

export function graph(className) {
    const area = svg("path", { class: "area" }), line = svg("path", { class: "curve" });
    const picture = svg("svg", { class: `graph ${className}`, viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" }, area, line);
    const title = svg("title");
    picture.prepend(title);
    Object.assign(picture, { area, line, title });
    return picture;
}

// The newest value stands at the right edge; a gap is a gap.
export function draw(picture, series, scale, label) {
    const values = series.values, first = SAMPLES - values.length;
    let curve = "", area = "", begun = -1;
    values.forEach((value, i) => {
        const x = first + i;
        if (value === undefined) {
            begun = -1;
            return;
        }
        const y = (HEIGHT - 0.75 - (HEIGHT - 1.5) * Math.min(1, value / scale)).toFixed(1);
        curve += `${begun < 0 ? "M" : "L"}${x} ${y}`;
        area += begun < 0 ? `M${x} ${HEIGHT}L${x} ${y}` : `L${x} ${y}`;
        begun = begun < 0 ? x : begun;
        if (i === values.length - 1 || values[i + 1] === undefined)
            area += `L${x} ${HEIGHT}Z`;
    });
    attribute(picture.line, "d", curve);
    attribute(picture.area, "d", area);
    text(picture.title, label);
}
