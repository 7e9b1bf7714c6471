// A box of lines that grows at its end, and follows it while it is looked at there. The number of lines is bounded.

import { $ } from "./dom.js";

const AT_END = 24; // pixels that count as the end

export class Lines {
    constructor(id, most) {
        Object.assign(this, { box: $(id), most, waiting: [], following: true, on_follow: () => {} });
        this.box.addEventListener("scroll", () => {
            if (!this.moving)
                this.#set_following(this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight < AT_END);
            this.moving = false;
        });
    }

    // Drawn with the next frame, together with all others that came until then.
    add(node) {
        this.waiting.push(node);
        if (this.waiting.length > this.most)
            this.waiting.shift();
        this.frame ??= requestAnimationFrame(() => this.#draw());
    }

    clear() {
        this.waiting = [];
        this.box.replaceChildren();
    }

    follow(wanted) {
        this.#set_following(wanted);
        if (wanted)
            this.to_end();
    }

    to_end() {
        const { box } = this, end = box.scrollHeight - box.clientHeight;
        if (Math.abs(box.scrollTop - end) > 1) {
            this.moving = true;
            box.scrollTop = end;
        }
    }

    #set_following(wanted) {
        if (wanted === this.following)
            return;
        this.following = wanted;
        this.on_follow(wanted);
    }

    #draw() {
        this.frame = null;
        const { box, waiting } = this;
        this.waiting = [];
        const before = box.scrollHeight;
        box.append(...waiting);
        for (let over = box.children.length - this.most; over > 0; over--)
            box.firstChild.remove();
        if (this.following)
            this.to_end();
        else if (box.children.length >= this.most)
            box.scrollTop -= Math.max(0, before - box.scrollHeight);
    }
}
