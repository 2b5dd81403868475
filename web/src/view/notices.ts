/** The error region: at most one notice for each thing that can go wrong. */
import type { Notice } from "../words";
import { byId, make } from "./dom";

interface Entry {
  element: HTMLElement;
  timer: ReturnType<typeof setInterval> | undefined;
}

export class Notices<Topic extends string> {
  private readonly region = byId("error");
  private readonly entries = new Map<Topic, Entry>();

  show(topic: Topic, notice: Notice | null, act?: () => void): void {
    this.remove(topic);
    if (!notice) return;
    const element = make("div", "notice");
    element.dataset.topic = topic;
    const words = make("div");
    words.append(make("strong", "", notice.title), make("p", "", notice.text));
    element.append(words);
    let timer: Entry["timer"];
    if (notice.retryAt !== undefined) {
      const until = notice.retryAt;
      // Seconds ticking inside an alert would be read out one by one.
      const count = words.appendChild(make("p", "count"));
      count.setAttribute("aria-hidden", "true");
      const tick = () => {
        const seconds = Math.ceil((until - Date.now()) / 1000);
        count.textContent = seconds > 0 ? `Trying again in ${seconds} s` : "Trying again…";
      };
      tick();
      timer = setInterval(tick, 250);
    }
    const buttons = make("div", "actions");
    if (notice.action && act) {
      const button = buttons.appendChild(make("button", "ghost outlined", notice.action));
      button.type = "button";
      button.addEventListener("click", act);
    }
    if (notice.retryAt === undefined) {
      const close = buttons.appendChild(make("button", "ghost", "Dismiss"));
      close.type = "button";
      close.addEventListener("click", () => this.remove(topic));
    }
    element.append(buttons);
    this.region.append(element);
    this.entries.set(topic, { element, timer });
  }

  private remove(topic: Topic): void {
    const entry = this.entries.get(topic);
    if (!entry) return;
    clearInterval(entry.timer);
    entry.element.remove();
    this.entries.delete(topic);
  }
}
