/** A machine as the page names it. */
export function vmKey(module: string, vm: string): string {
  return `${module}/${vm}`;
}
