// Sets the theme before the first paint; a file of its own because the policy allows no inline script.
(() => {
  let choice = 'system';
  try {
    choice = localStorage.getItem('watchglass.theme') ?? 'system';
  } catch {
    // Storage is refused: the system's theme it is.
  }
  const dark = choice === 'dark' || (choice !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches);
  document.documentElement.dataset.theme = dark ? 'dark' : 'light';
})();
