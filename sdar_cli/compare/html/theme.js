// Light or dark: the system's wish until the button is used; remembered as long as the page is open.
const dark = matchMedia("(prefers-color-scheme: dark)");
function themeNow() {
  return document.documentElement.dataset.theme || (dark.matches ? "dark" : "light");
}
function nameTheme() {
  const now = themeNow();
  $("theme").textContent = now === "dark" ? "Light" : "Dark";
  $("theme").setAttribute("aria-pressed", String(now === "dark"));
  $("theme").setAttribute("aria-label", "Dark theme");
}
$("theme").addEventListener("click", () => {
  document.documentElement.dataset.theme = themeNow() === "dark" ? "light" : "dark";
  nameTheme();
});
dark.addEventListener("change", nameTheme);
nameTheme();
