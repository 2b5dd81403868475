/** What of the agent's words was not heard; words are compared, spaces are not. Pure. */
export function unheard(agent: string, heard: string): string {
  const words = (text: string) => text.split(/\s+/).filter(Boolean);
  return words(agent).slice(words(heard).length).join(" ");
}
