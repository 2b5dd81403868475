/** Light, dark or the system's: one button that goes round. */
import { byId, icon, setIcon, storage } from "./dom";

const THEMES = ["auto", "light", "dark"] as const;
type Theme = (typeof THEMES)[number];
const KEY = "voice-agent.theme";
const NAMES: Record<Theme, string> = { auto: "as the system", light: "light", dark: "dark" };

export function themeButton(changed: () => void): void {
  const button = byId<HTMLButtonElement>("theme");
  const root = document.documentElement;
  button.append(icon("auto"));

  const current = (): Theme => THEMES.find((theme) => theme === root.dataset.theme) ?? "auto";
  const show = () => {
    const label = `Colours: ${NAMES[current()]}`;
    button.setAttribute("aria-label", label);
    button.title = label;
    setIcon(button, current());
    changed();
  };
  button.addEventListener("click", () => {
    const next = THEMES[(THEMES.indexOf(current()) + 1) % THEMES.length] ?? "auto";
    if (next === "auto") delete root.dataset.theme;
    else root.dataset.theme = next;
    if (next === "auto") storage()?.removeItem(KEY);
    else storage()?.setItem(KEY, next);
    show();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
  show();
}
