/** The address of this page with a module shown; the lines that are shown stay. */
export function moduleHref(module: string): string {
  return hrefWith({ module });
}

/** The address of this page with the lines of one machine, `<module>/<vm>`, or all of them; of one part of its log, or all. */
export function logHref(machine: string | null, part: string | null = null): string {
  return hrefWith({ log: machine, part });
}

/** The address of this page with the screen of one machine, `<module>/<vm>`, over it. */
export function watchHref(machine: string | null): string {
  return hrefWith({ watch: machine });
}

function hrefWith(values: Readonly<Record<string, string | null>>): string {
  const { pathname, search } = location;
  const query = new URLSearchParams(search);
  for (const [name, value] of Object.entries(values)) {
    if (value === null) query.delete(name);
    else query.set(name, value);
  }
  return `${pathname}?${query}`;
}
