// Before the first paint, so that a chosen theme does not flash; the rest is in src/view/theme.ts.
try {
  const theme = localStorage.getItem("voice-agent.theme");
  if (theme) document.documentElement.dataset.theme = theme;
} catch {
  // storage is blocked: follow the system
}
