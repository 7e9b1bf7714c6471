// Elements. What comes from the gateway only ever becomes text or an attribute's value, never markup.

const SVG = "http://www.w3.org/2000/svg";

export const $ = (id) => document.getElementById(id);

// el("td", { class: "num", title: "…", onclick: f }, "text", child …)
export function el(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes))
        if (name.startsWith("on"))
            node.addEventListener(name.slice(2), value);
        else
            attribute(node, name, value);
    node.append(...children.filter((child) => child !== null && child !== undefined));
    return node;
}

export function svg(tag, attributes = {}, ...children) {
    const node = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes))
        attribute(node, name, value);
    node.append(...children);
    return node;
}

export function icon(id, className = "icon") {
    return svg("svg", { class: className, "aria-hidden": "true" }, svg("use", { href: `#${id}` }));
}

export function change_icon(node, id) {
    attribute(node.firstChild, "href", `#${id}`);
}

// These touch the document only where something differs: most of an update changes nothing.

export function text(node, value) {
    const wanted = value === null || value === undefined ? "" : String(value);
    if (node.textContent !== wanted)
        node.textContent = wanted;
}

export function attribute(node, name, value) {
    if (value === null || value === undefined || value === false)
        node.removeAttribute(name);
    else if (node.getAttribute(name) !== String(value === true ? "" : value))
        node.setAttribute(name, value === true ? "" : value);
}

export function show(node, shown) {
    if (node.hidden === Boolean(shown))
        node.hidden = !shown;
}

// A bar's fill. Set from script: the policy forbids style attributes, not this.
export function fill(node, share) {
    const width = `${(100 * Math.min(1, Math.max(0, share))).toFixed(1)}%`;
    if (node.style.width !== width)
        node.style.width = width;
}

// The parent's children become those of `items`, in their order; what has the same key keeps its node, and with it focus and scroll place.
export function keyed(parent, items, key, make, update) {
    const known = parent.keyed ?? new Map(), next = new Map();
    if (!parent.keyed)
        parent.replaceChildren();
    for (const item of items)
        next.set(key(item), known.get(key(item)) ?? make(item));
    for (const [id, node] of known)
        if (!next.has(id))
            node.remove();
    // Nodes that stay are not touched: one that is moved loses its focus.
    let place = parent.firstChild;
    for (const item of items) {
        const node = next.get(key(item));
        update(node, item);
        if (node === place)
            place = place.nextSibling;
        else
            parent.insertBefore(node, place);
    }
    parent.keyed = next;
}
