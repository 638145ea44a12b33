/** The address of this page with a module shown; the lines that are shown stay. */
export function moduleHref(module: string): string {
  return hrefWith('module', module);
}

/** The address of this page with the lines of one machine, `<module>/<vm>`, or all of them. */
export function logHref(machine: string | null): string {
  return hrefWith('log', machine);
}

/** The address of this page with the screen of one machine, `<module>/<vm>`, over it. */
export function watchHref(machine: string | null): string {
  return hrefWith('watch', machine);
}

function hrefWith(name: string, value: string | null): string {
  const { pathname, search } = location;
  const query = new URLSearchParams(search);
  if (value === null) query.delete(name);
  else query.set(name, value);
  return `${pathname}?${query}`;
}
