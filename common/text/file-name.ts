/** A name of a person as the name of a file on any system: it may hold anything. */
export function fileName(name: string): string {
  return (
    name
      .replaceAll(/[^\w.-]+/g, '-')
      .replace(/^\.+/, '')
      .slice(0, 80) || 'unnamed'
  );
}
